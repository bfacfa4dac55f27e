"""Inception-ResNet-v1 as FaceNet's code defines it, so that facenet-pytorch's checkpoints fit layer by layer."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models.convolution import he_normal, normalization

_Size = int | tuple[int, int]
# Branches of the residual blocks: (maps, kernel size) of their convolutions, one after the other.
_BLOCK35 = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3)))
_BLOCK17 = (((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1))))
_BLOCK8 = (((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1))))
# Of the reductions, whose last convolutions halve the size; a pooling is one branch more.
_MIXED_6A = (((384, 3),), ((192, 1), (192, 3), (256, 3)))
_MIXED_7A = (((256, 1), (384, 3)), ((256, 1), (256, 3)), ((256, 1), (256, 3), (256, 3)))
_Branches = tuple[tuple[tuple[int, _Size], ...], ...]


def inception_resnet_v1(
    *, input_shape: tuple[int, int, int] = (224, 224, 3), include_top: bool = True, classes: int = 1000
) -> keras.Model:
    """Inception-ResNet-v1, 23,995,624 trainable weights with 1000 classes: images -> logits (batch, classes).

    Images are normalized. Without top, 1792 maps: 5 x 5 of 224 x 224 pixels. The top has FaceNet's bottleneck of 512.

    Source: Szegedy et al. 2017, Fig. 9 to 14, in FaceNet's version (davidsandberg/facenet,
    `inception_resnet_v1.py`: scales 0.17, 0.10, 0.20 and a last block of scale 1 without ReLU);
    layers are named as in facenet-pytorch, which has 23,482,624 weights before its logits.
    """
    images = keras.Input(input_shape, name="images")
    x = _unit(images, 32, 3, "conv2d_1a", stride=2, padding="valid")
    x = _unit(x, 32, 3, "conv2d_2a", padding="valid")
    x = _unit(x, 64, 3, "conv2d_2b")
    x = layers.MaxPooling2D(3, strides=2, name="maxpool_3a")(x)
    x = _unit(x, 80, 1, "conv2d_3b")
    x = _unit(x, 192, 3, "conv2d_4a", padding="valid")
    x = _unit(x, 256, 3, "conv2d_4b", stride=2, padding="valid")
    for index in range(5):
        x = _residual(x, _BLOCK35, 0.17, f"repeat_1.{index}")
    x = _reduction(x, _MIXED_6A, "mixed_6a")
    for index in range(10):
        x = _residual(x, _BLOCK17, 0.10, f"repeat_2.{index}")
    x = _reduction(x, _MIXED_7A, "mixed_7a")
    for index in range(5):
        x = _residual(x, _BLOCK8, 0.20, f"repeat_3.{index}")
    x = _residual(x, _BLOCK8, 1.0, "block8", relu=False)
    if include_top:
        x = layers.Dense(classes, name="logits")(bottleneck(x))
    return keras.Model(images, x, name="inception_resnet_v1")


def bottleneck(maps: keras.KerasTensor, width: int = 512, dropout: float = 0.2) -> keras.KerasTensor:
    """FaceNet's features before the logits: (batch, h, w, maps) -> (batch, width), averaged, projected, normalized."""
    x = layers.GlobalAveragePooling2D(name="average")(maps)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(width, use_bias=False, name="last_linear")(x)
    return normalization(x, "last_bn", epsilon=1e-3)


def _unit(
    x: keras.KerasTensor, filters: int, size: _Size, name: str, *, stride: int = 1, padding: str = "same"
) -> keras.KerasTensor:
    options = {"strides": stride, "padding": padding, "use_bias": False, "kernel_initializer": he_normal()}
    x = layers.Conv2D(filters, size, name=f"{name}.conv", **options)(x)
    return layers.ReLU(name=f"{name}.relu")(normalization(x, f"{name}.bn", epsilon=1e-3))


def _residual(
    x: keras.KerasTensor, branches: _Branches, scale: float, name: str, *, relu: bool = True
) -> keras.KerasTensor:
    ends = []
    for number, steps in enumerate(branches):
        y = x
        for index, (filters, size) in enumerate(steps):
            y = _unit(y, filters, size, _branch(name, number, index, len(steps)))
        ends.append(y)
    y = layers.Concatenate(name=f"{name}.maps")(ends)
    y = layers.Conv2D(x.shape[-1], 1, kernel_initializer=he_normal(), name=f"{name}.conv2d")(y)
    x = layers.Add(name=f"{name}.add")([x, layers.Rescaling(scale, name=f"{name}.scale")(y)])
    return layers.ReLU(name=f"{name}.relu")(x) if relu else x


def _reduction(x: keras.KerasTensor, branches: _Branches, name: str) -> keras.KerasTensor:
    ends = []
    for number, steps in enumerate(branches):
        y = x
        for index, (filters, size) in enumerate(steps):
            last = index == len(steps) - 1
            y = _unit(
                *(y, filters, size, _branch(name, number, index, len(steps))),
                stride=2 if last else 1,
                padding="valid" if last else "same",
            )
        ends.append(y)
    ends.append(layers.MaxPooling2D(3, strides=2, name=f"{name}.branch{len(branches)}")(x))
    return layers.Concatenate(name=f"{name}.maps")(ends)


def _branch(name: str, number: int, index: int, steps: int) -> str:
    """A branch of one convolution has no number of its own in facenet-pytorch."""
    return f"{name}.branch{number}" if steps == 1 else f"{name}.branch{number}.{index}"
