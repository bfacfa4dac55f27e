"""Losses of integer labels and logits or embeddings, and class weights; import each from its file."""
