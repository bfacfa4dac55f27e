"""Cervix types 1, 2 and 3 in colposcopy images by a fine-tuned ResNet-50 (Intel & MobileODT, Kaggle 2017)."""
