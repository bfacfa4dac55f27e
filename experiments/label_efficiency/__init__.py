"""No paper, a study of our own: how many labels self-supervised first weights save."""
