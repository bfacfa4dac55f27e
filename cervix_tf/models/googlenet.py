"""GoogLeNet as torchvision defines it, without auxiliary heads, so that its checkpoint fits layer by layer."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.models.convolution import convolution, normalization

# Maps of the 1x1 branch, of the second branch (1x1, 3x3), of the third (1x1, 3x3), and after the pooling.
_Widths = tuple[int, tuple[int, int], tuple[int, int], int]
_BLOCKS: dict[str, _Widths] = {
    "inception3a": (64, (96, 128), (16, 32), 32),
    "inception3b": (128, (128, 192), (32, 96), 64),
    "inception4a": (192, (96, 208), (16, 48), 64),
    "inception4b": (160, (112, 224), (24, 64), 64),
    "inception4c": (128, (128, 256), (24, 64), 64),
    "inception4d": (112, (144, 288), (32, 64), 64),
    "inception4e": (256, (160, 320), (32, 128), 128),
    "inception5a": (256, (160, 320), (32, 128), 128),
    "inception5b": (384, (192, 384), (48, 128), 128),
}
_POOLED_AFTER = {"inception3b": ("maxpool3", 3), "inception4e": ("maxpool4", 2)}


def googlenet(
    *, input_shape: tuple[int, int, int] = (224, 224, 3), include_top: bool = True, classes: int = 1000
) -> keras.Model:
    """GoogLeNet, 6,624,904 trainable weights with 1000 classes: normalized images -> logits (batch, classes).

    Without top, 1024 maps: (batch, height / 32, width / 32, 1024).

    Source: Szegedy et al. 2015, Table 1 and Fig. 3; layers are named as in torchvision's `models.googlenet`.
    Departs: as torchvision's: batch normalization, no auxiliary heads (they only train), and
        3x3 where the paper's third branch has 5x5.
    """
    images = keras.Input(input_shape, name="images")
    x = _pooled(_unit(images, 64, 7, 2, "conv1"), 3, "maxpool1")
    x = _unit(_unit(x, 64, 1, 1, "conv2"), 192, 3, 1, "conv3")
    x = _pooled(x, 3, "maxpool2")
    for name, widths in _BLOCKS.items():
        x = _inception(x, *widths, name)
        if name in _POOLED_AFTER:
            pooling, size = _POOLED_AFTER[name]
            x = _pooled(x, size, pooling)
    if include_top:
        x = layers.Dropout(0.2, name="dropout")(layers.GlobalAveragePooling2D(name="avgpool")(x))
        x = layers.Dense(classes, name="fc")(x)
    return keras.Model(images, x, name="googlenet")


def _unit(x: keras.KerasTensor, filters: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    x = convolution(x, filters, size, stride, f"{name}.conv")
    return layers.ReLU(name=f"{name}.relu")(normalization(x, f"{name}.bn", epsilon=1e-3))


def _inception(
    x: keras.KerasTensor, one: int, second: tuple[int, int], third: tuple[int, int], pooled: int, name: str
) -> keras.KerasTensor:
    branches = [_unit(x, one, 1, 1, f"{name}.branch1")]
    for branch, (narrow, wide) in (("branch2", second), ("branch3", third)):
        y = _unit(x, narrow, 1, 1, f"{name}.{branch}.0")
        branches.append(_unit(y, wide, 3, 1, f"{name}.{branch}.1"))
    y = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}.branch4.0")(x)
    branches.append(_unit(y, pooled, 1, 1, f"{name}.branch4.1"))
    return layers.Concatenate(name=f"{name}.maps")(branches)


def _pooled(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """Maxima of `size` x `size` windows with stride 2, the last window beyond the edge if that covers more.

    PyTorch's `ceil_mode`. The maps are not negative, so that zeros beyond the edge change no maximum.
    """
    beyond = [(0, (side - size) % 2) for side in x.shape[1:3]]
    if any(after for _, after in beyond):
        x = layers.ZeroPadding2D(beyond, name=f"{name}.padding")(x)
    return layers.MaxPooling2D(size, strides=2, name=name)(x)
