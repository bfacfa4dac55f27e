"""Pal, Xue, Antani. Deep Cervix Model Development from Heterogeneous and Partially Labeled Image Datasets."""
