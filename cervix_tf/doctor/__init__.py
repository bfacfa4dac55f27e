"""What hardware there is, what is chosen for it, what would be faster, and whether the installation is complete."""
