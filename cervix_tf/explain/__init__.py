"""What a network reacted to, and how much such maps are worth; import each from its file."""
