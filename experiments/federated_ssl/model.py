"""The networks of the study, put together from the library's layers; all share one backbone's weights."""

from __future__ import annotations

import keras
from keras import layers, ops

from cervix_tf.layers import SimCLRProjection
from cervix_tf.models import backbones
from experiments.federated_ssl.config import Config

INTENDED_USE = "Research on cervical image classification."


def encoder(config: Config, weights: str) -> keras.Model:
    """What all initializations initialize: (batch, height, width, 3) pixels -> (batch, features).

    Source: sec. III-B: the network without its top classification layer.
    """
    trunk = backbones.backbone(config.network, config.images.height, config.images.width, weights=weights)
    features = layers.GlobalAveragePooling2D(name="average")(trunk.output)
    return keras.Model(trunk.input, features, name=f"{config.network}_encoder")


def learner(config: Config, shared: keras.Model) -> keras.Model:
    """The encoder with the projection of self-supervised learning: pixels -> (batch, projection).

    Source: sec. III-B.
    """
    projected = SimCLRProjection(config.projection, config.normalize, name="projection")(shared.output)
    return keras.Model(shared.input, projected, name="learner")


def classifier(shared: keras.Model) -> keras.Model:
    """The encoder with one neuron in place of the projection: pixels -> (batch, 1), the logit of a case.

    Source: sec. III-B; its sigmoid is in the loss and in what is exported.
    """
    return keras.Model(shared.input, layers.Dense(1, dtype="float32", name="logit")(shared.output), name="classifier")


def of_two_classes(single: keras.Model) -> keras.Model:
    """The same classifier with a logit for each of control and case, 0 and its own: their softmax is its sigmoid."""
    logits = ops.concatenate([ops.zeros_like(single.output), single.output], axis=-1)
    return keras.Model(single.input, logits, name="classifier_of_two")
