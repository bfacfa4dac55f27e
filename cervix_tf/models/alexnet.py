"""AlexNet as torchvision defines it, so that its checkpoint fits layer by layer."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models.convolution import convolution
from cervix_tf.models.vgg import averaged

# Maps, kernel size, stride, padding, whether a pooling follows.
_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def alexnet(
    *, input_shape: tuple[int, int, int] = (224, 224, 3), include_top: bool = True, classes: int = 1000
) -> keras.Model:
    """AlexNet, 61,100,840 weights with 1000 classes: normalized images -> logits (batch, classes).

    Without top, 256 maps: 6 x 6 of 224 x 224 pixels.

    Source: Krizhevsky 2014 ("One weird trick"), footnote 1: one tower, no response
    normalization; widths, padding and layer names of torchvision's `models.alexnet`.
    Departs: initial weights are He's; PyTorch's smaller ones let the signal fade from layer to layer.
    """
    images = x = keras.Input(input_shape, name="images")
    position = 0  # in torchvision's list, in which ReLU and pooling are layers too
    for maps, size, stride, padding, pooled in _CONVOLUTIONS:
        x = convolution(x, maps, size, stride, f"features.{position}", bias=True, padding=padding)
        x = layers.ReLU(name=f"features.{position + 1}")(x)
        position += 2
        if pooled:
            x = layers.MaxPooling2D(3, strides=2, name=f"features.{position}")(x)
            position += 1
    if include_top:
        x = layers.Dense(classes, name="classifier.6")(fully_connected(x))
    return keras.Model(images, x, name="alexnet")


def fully_connected(maps: keras.KerasTensor, width: int = 4096, dropout: float = 0.5) -> keras.KerasTensor:
    """AlexNet's two hidden dense layers on feature maps of any size: (batch, h, w, maps) -> (batch, width).

    Maps are averaged to 6 x 6 first, as torchvision does; at 224 x 224 pixels they have that size.
    Dropout comes before each hidden layer.
    """
    x = layers.Flatten(name="flat")(averaged(maps, 6))
    for position in (1, 4):
        x = layers.Dropout(dropout, name=f"classifier.{position - 1}")(x)
        x = layers.Dense(width, activation="relu", name=f"classifier.{position}")(x)
    return x
