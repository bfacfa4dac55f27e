"""Convolutions padded as PyTorch pads them, so that torchvision's checkpoints give the same maps."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.layers.grouped_conv2d import GroupedConv2D


def convolution(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    stride: int,
    layer: str,
    groups: int = 1,
    *,
    bias: bool = False,
    padding: int | None = None,
) -> keras.KerasTensor:
    """Maps (batch, height / stride, width / stride, filters) of a `size` x `size` convolution named `layer`.

    `padding` zeros on every side, by default half the size; "same" would put the odd one to the right.
    """
    x = padded(x, size // 2 if padding is None else padding, layer)
    options = {"strides": stride, "use_bias": bias, "kernel_initializer": he_normal(), "name": layer}
    if groups > 1:
        return GroupedConv2D(filters, size, groups=groups, **options)(x)
    return layers.Conv2D(filters, size, **options)(x)


def depthwise(x: keras.KerasTensor, size: int, stride: int, layer: str) -> keras.KerasTensor:
    """One `size` x `size` convolution a map, without bias, padded likewise."""
    options = {"strides": stride, "use_bias": False, "depthwise_initializer": he_normal(), "name": layer}
    return layers.DepthwiseConv2D(size, **options)(padded(x, size // 2, layer))


def normalization(x: keras.KerasTensor, layer: str, epsilon: float = 1e-5) -> keras.KerasTensor:
    """Batch normalization with PyTorch's epsilon and momentum."""
    return FusedBatchNormalization(momentum=0.9, epsilon=epsilon, name=layer)(x)


def padded(x: keras.KerasTensor, padding: int, layer: str) -> keras.KerasTensor:
    """The maps with `padding` zeros on every side, for the layer of that name."""
    return layers.ZeroPadding2D(padding, name=f"{layer}.padding")(x) if padding else x


def he_normal() -> keras.initializers.Initializer:
    """Normal initial weights of variance 2 / fan-out, as PyTorch's ResNet and VGG start.

    A new one each time: Keras' initializers draw the same numbers again.
    """
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
