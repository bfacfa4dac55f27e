"""VGG networks that keras.applications lacks, and the fully connected layers of all of them."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cervix_tf.models.convolution import he_normal


def vgg11(**options: Any) -> keras.Model:
    """VGG-11, 132,863,336 weights with 1000 classes. Source: Simonyan and Zisserman 2015, Table 1, column A."""
    return vgg((1, 1, 2, 2, 2), name="vgg11", **options)


def vgg13(**options: Any) -> keras.Model:
    """VGG-13, 133,047,848 weights with 1000 classes. Source: Simonyan and Zisserman 2015, Table 1, column B."""
    return vgg((2, 2, 2, 2, 2), name="vgg13", **options)


def vgg(
    convolutions: tuple[int, ...],
    *,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    name: str = "vgg",
) -> keras.Model:
    """VGG: normalized images -> logits (batch, classes), or (batch, height / 32, width / 32, 512) maps without top.

    `convolutions` counts the 3x3 convolutions before each of the five poolings.

    Source: Simonyan and Zisserman 2015, Table 1. Layers are named as in torchvision's `models.vgg`.
    """
    images = x = keras.Input(input_shape, name="images")
    position = 0  # in torchvision's list, in which ReLU and pooling are layers too
    for block, count in enumerate(convolutions):
        for _ in range(count):
            x = layers.Conv2D(
                min(64 * 2**block, 512),
                3,
                padding="same",
                activation="relu",
                kernel_initializer=he_normal(),
                name=f"features.{position}",
            )(x)
            position += 2
        x = layers.MaxPooling2D(2, name=f"features.{position}")(x)
        position += 1
    if include_top:
        x = layers.Dense(classes, name="classifier.6")(fully_connected(x))
    return keras.Model(images, x, name=name)


def fully_connected(maps: keras.KerasTensor, width: int = 4096, dropout: float = 0.5) -> keras.KerasTensor:
    """VGG's two hidden dense layers on feature maps of any size: (batch, h, w, maps) -> (batch, width).

    Maps are averaged to 7 x 7 first, as torchvision does; at 224 x 224 pixels they have that size.
    """
    x = layers.Flatten(name="flat")(averaged(maps, 7))
    for position in (0, 3):
        x = layers.Dense(width, activation="relu", name=f"classifier.{position}")(x)
        x = layers.Dropout(dropout, name=f"classifier.{position + 2}")(x)
    return x


def averaged(maps: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """(batch, side, side, maps) of maps of any size, averaged as PyTorch's AdaptiveAvgPool2d does."""
    if tuple(maps.shape[1:3]) == (side, side):
        return maps
    if 1 in maps.shape[1:3]:  # Keras' layer cannot be traced on a single row: two equal ones have the same means
        repeats = tuple(2 if length == 1 else 1 for length in maps.shape[1:3])
        maps = layers.UpSampling2D(repeats, name="repeated")(maps)
    return layers.AdaptiveAveragePooling2D(side, name="average")(maps)
