"""Losses of integer labels and logits, and class weights for them; import each from its file."""
