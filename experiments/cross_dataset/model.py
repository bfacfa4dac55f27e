"""The networks of the study, put together from the library's backbones."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models import backbones
from experiments.cross_dataset.config import Config

INTENDED_USE = "Research on how far a classifier carries to other data sets."


def classifier(config: Config, classes: int) -> keras.Model:
    """(batch, height, width, 3) pixels in [0, 255] -> (batch, classes) logits."""
    height, width = config.images.height, config.images.width
    return backbones.classifier(config.network, classes, height, width, weights=config.weights)


def embedding(config: Config) -> keras.Model:
    """(batch, height, width, 3) pixels in [0, 255] -> (batch, features), pooled, of the initial weights."""
    trunk = backbones.backbone(config.network, config.images.height, config.images.width, weights=config.weights)
    return keras.Model(trunk.input, layers.GlobalAveragePooling2D(name="average")(trunk.output), name="embedding")
