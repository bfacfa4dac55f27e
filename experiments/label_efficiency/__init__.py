"""No paper, a study of our own: how many labels self-supervised initial weights save."""
