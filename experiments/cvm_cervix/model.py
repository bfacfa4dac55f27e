"""The networks of the study, put together from the library's backbones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers

from cervix_tf.export.formats import Format
from cervix_tf.models import backbones, catalog
from cervix_tf.study.ready import InitialWeights
from experiments.cvm_cervix.config import CNN, CVM, MODULES, Config

INTENDED_USE = "Research on the classification of single cells."
_INNER = "of_joined"
EXPORTS: tuple[Format, ...] = ("saved_model", "tflite-float32", "tflite-float16")  # the last: sec. 4.6


def network(config: Config, name: str) -> keras.Model:
    """CVM-Cervix or a compared network: (batch, height, width, 3) pixels -> (batch, classes) logits.

    With masks (batch, 2, height, width, 3), picture and mask.
    """
    if name in MODULES:
        made = cvm(config, name)
    else:
        height, width, classes = config.images.height, config.images.width, len(config.data_source.classes)
        start = _start(initial_weights(config, name, name))
        made = backbones.classifier(name, classes, height, width, head_width=config.head_width, **start)
    return with_masks(made) if config.masks else made


def with_masks(network: keras.Model) -> keras.Model:
    """`network` behind a 1x1 convolution (layer `joined`) of picture and mask, (batch, 2, height, width, 3).

    The convolution starts as the picture alone, so that pre-trained weights fit.
    """
    views = keras.Input((2, *network.input_shape[1:]), name="picture_and_mask")
    convolution = layers.Conv2D(3, 1, use_bias=False, dtype="float32", name="joined")
    joined = convolution(layers.Concatenate(name="channels", dtype="float32")([views[:, 0], views[:, 1]]))
    convolution.kernel.assign(np.eye(6, 3)[None, None])
    inner = keras.Model(network.input, network.output, name=_INNER)
    return keras.Model(views, inner(joined), name=network.name)


def initial_weights(config: Config, name: str, backbone: str) -> str:
    """Where a backbone of the named network starts: `random`, `imagenet`, or a file, which may be missing."""
    if config.vt_weights and name in MODULES and backbone != CNN:
        return config.vt_weights
    if config.weights_folder is not None:
        file = config.weights_folder / f"{backbone}.weights.h5"
        if file.is_file() or config.weights != "imagenet" or backbone not in catalog.OFFERED:
            return str(file)
    return config.weights


def _start(weights: str) -> dict[str, Any]:
    """A backbone's initial weights and normalization: what starts at random is normalized alike, whichever it is."""
    return {"weights": weights, "normalization": "torch" if weights == "random" else None}


def cvm(config: Config, name: str = CVM) -> keras.Model:
    """CVM-Cervix: (batch, height, width, 3) pixels -> (batch, classes) logits.

    Xception's 2048 features and DeiT-tiny's 192, its class token, are concatenated (layer `fusion`, 2240); two dense
    layers with a GELU between them classify them. `cvm_distilled` has a DeiT with a distillation token, of whose
    two tokens it takes the mean.

    Source: sec. 3.1 to 3.4, Fig. 2; sec. 5.2.
    Departs: a pre-trained module normalizes pixels as its own ImageNet weights want it; the paper
        does not say how it does.
    """
    height, width = config.images.height, config.images.width
    cnn, vt = (
        backbones.backbone(each, height, width, **_start(initial_weights(config, name, each))) for each in MODULES[name]
    )
    local = layers.GlobalAveragePooling2D(name="average")(cnn.output)
    fused = layers.Concatenate(name="fusion")([local, vt(cnn.input)])
    hidden = layers.Dense(config.hidden, activation="gelu", name="hidden")(fused)
    logits = layers.Dense(len(config.data_source.classes), dtype="float32", name="logits")(hidden)
    return keras.Model(cnn.input, logits, name=name)


def needs(config: Config, names: Iterable[str]) -> dict[str, list[InitialWeights]]:
    """The initial weights that networks start from: name -> what looks whether they are there and fit."""

    def of(name: str, backbone: str) -> InitialWeights:
        start = initial_weights(config, name, backbone)
        option = "--weights"
        if start not in (config.weights, config.vt_weights):
            option = "--weights-folder"
        elif name in MODULES and backbone != CNN:
            option = "--vt-weights"
        return InitialWeights(backbone, config.images, start, option)

    return {name: [of(name, backbone) for backbone in MODULES.get(name, (name,))] for name in names}


def features(network: keras.Model) -> keras.Model:
    """The network up to the features that its head reads, (batch, features): what is fused, if anything is."""
    if _INNER in {layer.name for layer in network.layers}:
        inner = features(network.get_layer(_INNER))
        return keras.Model(network.input, inner(network.get_layer("joined").output), name="features")
    fused = [layer.output for layer in network.layers if layer.name == "fusion"]
    return keras.Model(network.input, fused[0] if fused else network.get_layer("logits").input, name="features")


def round_to_16_bits(network: keras.Model) -> None:
    """Round the network's weights to 16 bits. Source: sec. 4.6."""
    network.set_weights([weight.astype(np.float16).astype(np.float32) for weight in network.get_weights()])


def mebibytes(network: keras.Model) -> dict[int, float]:
    """The size of the network's weights in MiB, at 32 and at 16 bits each. Source: sec. 4.5 and 4.6."""
    return {bits: network.count_params() * bits / 8 / 2**20 for bits in (32, 16)}
