"""The networks of the study, put together from the library's backbones."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers

from cervix_tf.export.formats import Format
from cervix_tf.models import backbones
from cervix_tf.study.ready import Check
from experiments.cvm_cervix.config import CNN, CVM, VT, Config

INTENDED_USE = "Research on the classification of single cells."
EXPORTS: tuple[Format, ...] = ("saved_model", "tflite-float32", "tflite-float16")  # the last: sec. 4.6


def network(config: Config, name: str) -> keras.Model:
    """CVM-Cervix or a compared network: (batch, height, width, 3) pixels -> (batch, classes) logits."""
    if name == CVM:
        return cvm(config)
    height, width, classes = config.images.height, config.images.width, len(config.data_source.classes)
    return backbones.classifier(name, classes, height, width, weights=config.weights, head_width=config.head_width)


def cvm(config: Config) -> keras.Model:
    """CVM-Cervix: (batch, height, width, 3) pixels -> (batch, classes) logits.

    Xception's 2048 features and DeiT-tiny's 192, its class token, are concatenated (layer `fusion`, 2240); two dense
    layers with a GELU between them classify them.

    Source: sec. 3.1 to 3.4, Fig. 2.
    Departs: each module normalizes pixels as its own ImageNet weights want it; the paper
        does not say how it does.
    """
    height, width = config.images.height, config.images.width
    cnn = backbones.backbone(CNN, height, width, weights=config.weights)
    vt = backbones.backbone(VT, height, width, weights=config.vt_weights or config.weights)
    local = layers.GlobalAveragePooling2D(name="average")(cnn.output)
    fused = layers.Concatenate(name="fusion")([local, vt(cnn.input)])
    hidden = layers.Dense(config.hidden, activation="gelu", name="hidden")(fused)
    logits = layers.Dense(len(config.data_source.classes), dtype="float32", name="logits")(hidden)
    return keras.Model(cnn.input, logits, name=CVM)


def needs(config: Config, names: Iterable[str]) -> dict[str, list[Check]]:
    """The initial weights that networks start from: name -> what looks whether they are there and fit."""
    height, width = config.images.height, config.images.width

    @functools.cache
    def of(backbone: str, weights: str, option: str) -> Check:
        return functools.partial(backbones.check, backbone, height, width, weights=weights, option=option)

    vt = of(VT, config.vt_weights or config.weights, "--vt-weights")
    of_cvm = [of(CNN, config.weights, "--weights"), vt]
    return {name: of_cvm if name == CVM else [of(name, config.weights, "--weights")] for name in names}


def features(network: keras.Model) -> keras.Model:
    """The network up to the features that its head reads, (batch, features): what is fused, if anything is."""
    fused = [layer.output for layer in network.layers if layer.name == "fusion"]
    return keras.Model(network.input, fused[0] if fused else network.get_layer("logits").input, name="features")


def round_to_16_bits(network: keras.Model) -> None:
    """Round the network's weights to 16 bits. Source: sec. 4.6."""
    network.set_weights([weight.astype(np.float16).astype(np.float32) for weight in network.get_weights()])


def mebibytes(network: keras.Model) -> dict[int, float]:
    """The size of the network's weights in MiB, at 32 and at 16 bits each. Source: sec. 4.5 and 4.6."""
    return {bits: network.count_params() * bits / 8 / 2**20 for bits in (32, 16)}
