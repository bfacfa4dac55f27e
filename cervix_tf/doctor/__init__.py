"""What this machine has, what is chosen on it, what would be faster, and whether the installation is whole."""
