"""Keras losses of integer labels and logits or embeddings, and class weights; importing registers the losses."""

from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.contrastive import Contrastive
from cervix_tf.losses.dynamic_weights import dynamic_weights
from cervix_tf.losses.focal_loss import FocalLoss
from cervix_tf.losses.n_pair import NPair
from cervix_tf.losses.nt_xent import NTXent
from cervix_tf.losses.population_weights import population_weights
from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = [
    "BatchHard",
    "Contrastive",
    "FocalLoss",
    "NPair",
    "NTXent",
    "WeightedCrossEntropy",
    "dynamic_weights",
    "population_weights",
]
