"""What tests of whole studies share."""

import keras
import pytest
from keras import layers

from cervix_tf.export import latency
from cervix_tf.models import backbones


@pytest.fixture(scope="module", autouse=True)
def no_clock():
    """No latencies of exported files, which two processes a file measure; test_formats.py has what does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "milliseconds", lambda path, repeats: [1.0, 1.0])
        yield


def plain(name, height, width, **_):
    """Four convolutions with what the studies need of a backbone: pixels in, a layer named features."""
    image = keras.Input((height, width, 3))
    x = image
    for channels in (16, 24, 32, 48):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    pixels = keras.Input((height, width, 3), name="pixels")
    scaled = layers.Rescaling(1 / 127.5, -1.0, dtype="float32")(pixels)
    return keras.Model(pixels, keras.Model(image, x, name="features")(scaled), name=name)


@pytest.fixture(scope="module")
def plain_backbone():
    """A plain network in every backbone's place, which would take most of the time to trace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "backbone", plain)
        patch.setattr(backbones, "check", lambda *_, **__: None, raising=False)  # of weights that it does not load
        yield


def few_blocks(*, input_shape, **_):
    """MobileNetV2's ends with two blocks between them instead of seventeen."""
    image = keras.Input(input_shape)
    x = layers.Conv2D(16, 3, strides=4, padding="same", use_bias=False)(image)
    for channels in (24, 48):
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
        x = layers.Conv2D(channels, 1, use_bias=False)(x)
    x = layers.AveragePooling2D(2, padding="same")(x)
    return keras.Model(image, layers.BatchNormalization(name="block_16_project_BN")(x))


@pytest.fixture(scope="module")
def short_mobilenet_v2():
    """Trunks of two blocks, which trace in a tenth of the time; the real ones have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "MobileNetV2", few_blocks)
        yield
