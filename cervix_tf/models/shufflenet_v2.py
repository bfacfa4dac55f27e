"""ShuffleNetV2 as torchvision defines it, so that its checkpoints fit layer by layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cervix_tf.layers.channel_shuffle import ChannelShuffle
from cervix_tf.layers.channel_split import ChannelSplit
from cervix_tf.models.convolution import convolution, depthwise, normalization


def shufflenet_v2_x1_0(**options: Any) -> keras.Model:
    """ShuffleNetV2 1x, 2,278,604 trainable weights with 1000 classes. Source: Ma et al. 2018, Table 5."""
    return shufflenet_v2((116, 232, 464), name="shufflenet_v2_x1_0", **options)


def shufflenet_v2_x0_5(**options: Any) -> keras.Model:
    """ShuffleNetV2 0.5x, 1,366,792 trainable weights with 1000 classes. Source: Ma et al. 2018, Table 5."""
    return shufflenet_v2((48, 96, 192), name="shufflenet_v2_x0_5", **options)


def shufflenet_v2(
    widths: tuple[int, int, int],
    *,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    name: str = "shufflenet_v2",
) -> keras.Model:
    """ShuffleNetV2: normalized images -> logits (batch, classes), or feature maps without top.

    The maps are (batch, height / 32, width / 32, 1024), each side rounded up. `widths`
    are the maps of the three stages, whose first unit halves the size.

    Source: Ma et al. 2018, Table 5, Fig. 3c and 3d. Layers are named as in torchvision's `models.shufflenetv2`.
    """
    images = keras.Input(input_shape, name="images")
    x = _normalized_convolution(images, 24, 3, 2, "conv1.0", "conv1.1", "conv1.2")
    x = layers.ZeroPadding2D(1, name="maxpool.padding")(x)  # zeros after a ReLU change no maximum
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    for stage, (maps, repeats) in enumerate(zip(widths, (4, 8, 4), strict=True), start=2):
        for index in range(repeats):
            x = _unit(x, maps, f"stage{stage}.{index}", halved=index == 0)
    x = _normalized_convolution(x, 1024, 1, 1, "conv5.0", "conv5.1", "conv5.2")
    if include_top:
        x = layers.Dense(classes, name="fc")(layers.GlobalAveragePooling2D(name="average")(x))
    return keras.Model(images, x, name=name)


def _unit(x: keras.KerasTensor, maps: int, name: str, *, halved: bool) -> keras.KerasTensor:
    half, stride = maps // 2, 2 if halved else 1
    if halved:  # both branches read all maps
        kept = normalization(depthwise(x, 3, 2, f"{name}.branch1.0"), f"{name}.branch1.1")
        kept = _normalized_convolution(kept, half, 1, 1, *(f"{name}.branch1.{i}" for i in (2, 3, 4)))
    else:
        kept, x = ChannelSplit(name=f"{name}.split")(x)
    x = _normalized_convolution(x, half, 1, 1, *(f"{name}.branch2.{i}" for i in (0, 1, 2)))
    x = normalization(depthwise(x, 3, stride, f"{name}.branch2.3"), f"{name}.branch2.4")
    x = _normalized_convolution(x, half, 1, 1, *(f"{name}.branch2.{i}" for i in (5, 6, 7)))
    return ChannelShuffle(name=f"{name}.shuffle")(layers.Concatenate(name=f"{name}.maps")([kept, x]))


def _normalized_convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, layer: str, norm: str, relu: str
) -> keras.KerasTensor:
    return layers.ReLU(name=relu)(normalization(convolution(x, filters, size, stride, layer), norm))
