"""The network of the study, put together from the library's backbones."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models import backbones
from experiments.resnet50_types.config import CLASSES, Config

INTENDED_USE = "Research on the type of cervix in colposcopy images."


def classifier(config: Config) -> keras.Model:
    """ResNet-50 with a new head: (batch, height, width, 3) pixels -> (batch, 3) logits.

    Source: sec. 3.2: the pre-trained network without its fully connected layer, then 100 nodes, then three.
    Departs: the text says "three different fully connected layers" and describes two; the
        activation of the 100 nodes is not stated: ReLU. The softmax is the exported model's.
    """
    trunk = backbones.backbone(config.network, config.images.height, config.images.width, weights=config.weights)
    x = layers.GlobalAveragePooling2D(name="average")(trunk.output)
    x = layers.Dense(config.hidden, activation="relu", name="hidden")(x)
    return keras.Model(trunk.input, layers.Dense(len(CLASSES), dtype="float32", name="logits")(x), name="cervix_types")
