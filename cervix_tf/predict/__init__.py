"""Class probabilities of images or cases, from an exported model alone."""
