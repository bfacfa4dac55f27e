"""Training; importing this package lets Keras load what a compiled model may hold of it."""

from cervix_tf.train.fused_optimizers import FusedAdam, FusedSGD
from cervix_tf.train.global_batch import GlobalBatch
from cervix_tf.train.harmonic_mean_tpr import HarmonicMeanTPR
from cervix_tf.train.true_positive_rate import TruePositiveRate

__all__ = ["FusedAdam", "FusedSGD", "GlobalBatch", "HarmonicMeanTPR", "TruePositiveRate"]
