"""MobileNetV2 as a feature extractor whose last convolution has as many maps as wanted."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.layers.fuse import fuse
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.models import weights as first_weights

# PyTorch's 0.1, written Keras' way. keras.applications' 0.999 needs thousands of steps to forget its start.
_MOMENTUM = 0.9
_SIZES = (96, 128, 160, 192, 224)
"""Sides of the square images that Keras has weights of."""


def mobilenet_v2(
    height: int,
    width: int,
    *,
    maps: int = 1280,
    alpha: float = 1.0,
    weights: str = "imagenet",
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
    std: tuple[float, float, float] = (0.5, 0.5, 0.5),
    name: str = "mobilenet_v2",
) -> keras.Model:
    """Feature maps of RGB pixels: (batch, height, width, 3) in [0, 255] -> (batch, height / 32, width / 32, maps).

    All layers up to the last inverted residual keep their `weights` (`imagenet`,
    `random` or a file); with `maps` = 1280 so does the last 1 x 1 convolution, else it
    starts at random. `mean` and `std` normalize pixels / 255; the default is what Keras'
    ImageNet weights were trained with.

    Source: Sandler et al. 2018; Buiu et al. 2020, sec. 3.2.2 (32 or 64 maps).
    Departs: batch normalization keeps Keras' epsilon 1e-3, with which its weights were trained (PyTorch: 1e-5).
    """
    size = height if height == width and height in _SIZES else 224  # as Keras chooses among its files
    whole = first_weights.build(
        keras.applications.MobileNetV2,
        weights,
        f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}_no_top.h5",
        include_top=False,
        alpha=alpha,
        input_shape=(height, width, 3),
    )
    whole = fuse(whole, momentum=_MOMENTUM)
    pixels = keras.Input((height, width, 3), name="pixels")
    # In float32 under a mixed-precision policy too: 16 bits cannot hold what lies between 254 and 255.
    normalize = layers.Rescaling(
        scale=[1 / (255 * part) for part in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        dtype="float32",
    )
    if maps == whole.output_shape[-1]:
        return keras.Model(pixels, whole(normalize(pixels)), name=name)
    body = keras.Model(whole.input, whole.get_layer("block_16_project_BN").output, name="body")
    x = body(normalize(pixels))
    x = layers.Conv2D(maps, 1, use_bias=False, name="last_convolution")(x)
    x = FusedBatchNormalization(momentum=_MOMENTUM, epsilon=1e-3, name="last_normalization")(x)
    return keras.Model(pixels, layers.ReLU(6.0, name="last_relu")(x), name=name)
