"""The networks of the study, put together from the library's layers and backbones."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models import backbones
from experiments._template.config import CLASSES, Config

INTENDED_USE = "Research on the classification of single cells."


def network(config: Config, name: str) -> keras.Model:
    """(batch, height, width, 3) pixels in [0, 255] -> (batch, classes) logits. Source: TODO: section."""
    height, width = config.images.height, config.images.width
    if name != "small":
        return backbones.classifier(name, len(CLASSES), height, width, weights=config.weights)
    pixels = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0)(pixels)
    for channels in (16, 32, 64):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(pixels, layers.Dense(len(CLASSES), dtype="float32", name="logits")(x), name="small")
