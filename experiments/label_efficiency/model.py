"""The networks of the study, put together from the library's layers; all have one backbone."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.layers import SimCLRProjection
from cervix_tf.models import backbones
from experiments.label_efficiency.config import Config


def encoder(config: Config, weights: str) -> keras.Model:
    """What is measured: (batch, height, width, 3) pixels in [0, 255] -> (batch, features), pooled."""
    trunk = backbones.backbone(config.network, config.images.height, config.images.width, weights=weights)
    return keras.Model(trunk.input, layers.GlobalAveragePooling2D(name="average")(trunk.output), name="encoder")


def learner(config: Config, shared: keras.Model) -> keras.Model:
    """The encoder with the projection of self-supervised learning: pixels -> (batch, projection)."""
    projected = SimCLRProjection(config.projection, name="projection")(shared.output)
    return keras.Model(shared.input, projected, name="learner")
