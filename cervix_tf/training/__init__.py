"""Training; importing this package lets Keras load what a compiled model may hold of it."""

from cervix_tf.training.fused_optimizers import FusedAdam, FusedSGD
from cervix_tf.training.global_batch import GlobalBatch
from cervix_tf.training.harmonic_mean_tpr import HarmonicMeanTPR
from cervix_tf.training.true_positive_rate import TruePositiveRate

__all__ = ["FusedAdam", "FusedSGD", "GlobalBatch", "HarmonicMeanTPR", "TruePositiveRate"]
