"""The networks of the study, put together from the library's layers."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.layers import L2Embedding
from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.contrastive import Contrastive
from cervix_tf.losses.n_pair import NPair
from cervix_tf.models import backbones
from experiments.metric_learning.config import Config

INTENDED_USE = "Research on cervical image classification."


def embedding(config: Config, network: str) -> keras.Model:
    """Unit-length features of an image: (batch, height, width, 3) pixels -> (batch, features).

    Source: sec. IV-B: the network without its softmax layer, then L2 normalization of the
    last feature layer, which is the average of the last maps.
    """
    trunk = backbones.backbone(network, config.images.height, config.images.width, weights=config.weights)
    features = layers.GlobalAveragePooling2D(name="average")(trunk.output)
    return keras.Model(trunk.input, L2Embedding(name="embedding")(features), name=f"{network}_embedding")


def classifier(network: keras.Model, classes: int) -> keras.Model:
    """Class scores of the same features before L2 normalization: (batch, height, width, 3) -> (batch, classes) logits.

    Source: sec. IV-C, the fine-tuned baseline.
    Departs: one logit per class and the softmax cross entropy instead of one logit and the
        binary cross entropy; of two classes it is the same function of the logits' difference.
    """
    features = network.get_layer("average").output
    return keras.Model(
        network.input, layers.Dense(classes, dtype="float32", name="logits")(features), name="classifier"
    )


def loss(config: Config, method: str, classes: int) -> keras.losses.Loss:
    """The loss of a method of metric learning, summed over its batch as Eqs. 1 to 3 are; see `loss_weight`.

    Source: sec. III-A to III-C, parameters of sec. IV-B.
    """
    margins = config.margins
    if method == "contrastive":
        return Contrastive(margins.m_pos, margins.m_neg, reduction="sum")
    if method == "n_pair":
        return NPair(classes if config.batches.loss == "step" else 0, reduction="sum")
    return BatchHard(margins.batch_hard, reduction="sum")


def loss_weight(config: Config, method: str, classes: int) -> float:
    """Factor of the summed loss that makes a step as long as the paper's, whose batch is one pair or one tuplet.

    Source: sec. III-A ("a randomly sampled pair") and III-B, Eq. 2.
    """
    batches = config.batches
    of_tuplet = 1 / classes if method == "n_pair" and batches.n_pair_loss == "mean" else 1.0
    parts = {"contrastive": batches.pairs, "n_pair": batches.n_pairs}
    return of_tuplet / (parts.get(method, 1) if batches.loss == "step" else 1)
