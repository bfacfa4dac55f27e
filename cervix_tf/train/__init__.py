"""Training a network of the zoo on a user's own labeled images."""
