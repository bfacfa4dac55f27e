"""No paper, a study of our own: what a network trained on one public data set is worth on another."""
