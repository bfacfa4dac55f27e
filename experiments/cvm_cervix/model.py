"""The networks of the study, put together from the library's backbones."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models import backbones
from experiments.cvm_cervix.config import CNN, CVM, VT, Config


def network(config: Config, name: str, classes: int) -> keras.Model:
    """CVM-Cervix or a compared network: (batch, height, width, 3) pixels -> (batch, classes) logits."""
    if name == CVM:
        return cvm(config, classes)
    height, width = config.images.height, config.images.width
    return backbones.classifier(name, classes, height, width, weights=config.weights, head_width=config.head_width)


def cvm(config: Config, classes: int) -> keras.Model:
    """CVM-Cervix: (batch, height, width, 3) pixels -> (batch, classes) logits.

    Xception's 2048 features and DeiT-tiny's 192, its class token, stand behind each other
    (layer `fusion`, 2240); two dense layers with a GELU between them read them.

    Source: sec. 3.1 to 3.4, Fig. 2.
    Departs: each module normalises pixels as its own ImageNet weights want it; the paper
        does not say how it does.
    """
    height, width = config.images.height, config.images.width
    cnn = backbones.backbone(CNN, height, width, weights=config.weights)
    vt = backbones.backbone(VT, height, width, weights=config.vt_weights or config.weights)
    local = layers.GlobalAveragePooling2D(name="average")(cnn.output)
    fused = layers.Concatenate(name="fusion")([local, vt(cnn.input)])
    hidden = layers.Dense(config.hidden, activation="gelu", name="hidden")(fused)
    return keras.Model(cnn.input, layers.Dense(classes, dtype="float32", name="logits")(hidden), name=CVM)


def features(network: keras.Model) -> keras.Model:
    """The network with two outputs: the features that its head reads, (batch, features), and its logits."""
    fused = [layer.output for layer in network.layers if layer.name == "fusion"]
    read = fused[0] if fused else network.get_layer("logits").input
    return keras.Model(network.input, [read, network.output], name="features_and_logits")


def mebibytes(network: keras.Model, bits: int) -> float:
    """What the network's weights take at so many bits each, in MiB. Source: sec. 4.5 and 4.6."""
    return network.count_params() * bits / 8 / 2**20
