"""ResizePixels against tf.image.resize, at sizes that are not known when the graph is made."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers.resize_pixels import ResizePixels


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("size", [(37, 53), (11, 7), (96, 128), (24, 31)], ids=str)
def test_it_equals_tf_image_resize_up_down_and_at_the_same_size(size):
    images = noise(2, *size, 3)
    resized = ResizePixels(24, 31)(images)
    assert resized.dtype == "float32"
    np.testing.assert_array_equal(resized, tf.image.resize(images, (24, 31), method="bilinear", antialias=False))


def test_half_pixel_centres_by_hand():
    row = np.array([0.0, 100.0, 200.0, 40.0], np.float32)
    resized = ResizePixels(1, 2)(np.repeat(row[None, None, :, None], 3, axis=-1))
    np.testing.assert_allclose(resized[0, 0, :, 0], [50.0, 120.0])  # centers lie between the first two, the last two


def test_several_samples_are_averaged_by_hand():
    row = np.array([0.0, 100.0, 200.0, 40.0], np.float32)
    resized = ResizePixels(1, 1, supersampling=2)(np.repeat(row[None, None, :, None], 3, axis=-1))
    np.testing.assert_allclose(resized[0, 0, 0], [85.0] * 3)  # of 50 and 120; bilinear alone would give 150
    assert ResizePixels.from_config(ResizePixels(1, 1, supersampling=2).get_config()).supersampling == 2


def test_views_are_resized_one_by_one():
    images = noise(2, 3, 40, 30, 3)
    layer = ResizePixels(16, 20)
    np.testing.assert_array_equal(layer(images), np.stack([layer(case) for case in images]))


def test_pixels_stay_float32_under_a_mixed_precision_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        images = np.full((1, 5, 5, 3), 254.6, np.float32)
        np.testing.assert_allclose(ResizePixels(7, 7)(images), 254.6, rtol=1e-6)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("views", [(), (2,)], ids=["single", "views"])
def test_a_saved_model_of_unknown_size_resizes_as_before(tmp_path, views):
    images = keras.Input((*views, None, None, 3), dtype="uint8")
    model = keras.Model(images, ResizePixels(12, 9)(images))
    assert model.output_shape == (None, *views, 12, 9, 3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for size in ((30, 20), (8, 40)):
        pixels = noise(2, *views, *size, 3)
        np.testing.assert_array_equal(again(pixels), model(pixels))
