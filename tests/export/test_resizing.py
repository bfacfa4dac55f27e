"""Supersampling: one definition in training, evaluation, Keras, SavedModel and TFLite."""

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cervix_tf.config import Augmentation, Images
from cervix_tf.contract import Contract
from cervix_tf.data import importers, inputs, pipeline, resizing
from cervix_tf.data.images import decode_file
from cervix_tf.export import reading, runtime, saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.layers.resize_pixels import ResizePixels

IMAGES = Images(height=12, width=16, batch_size=4, supersampling=4)
SHAPES = [(96, 128), (301, 203), (48, 64), (20, 9)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images with detail finer than a pixel of the network, of several sizes, one smaller than the network's."""
    root, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    (root / "a").mkdir()
    for at, shape in enumerate(SHAPES):
        coarse = cv2.resize(rng.uniform(60, 200, (4, 5, 3)), shape[::-1], interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(coarse + rng.normal(0, 30, (*shape, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "a" / f"{at}.png"), noisy)
    return inputs.from_every_image(importers.load("folder", root).manifest, ("a",))


def test_evaluation_prediction_and_the_graphs_layer_give_the_same_pixels(photographs):
    (evaluated, _), *_ = pipeline.evaluation(photographs, IMAGES).as_numpy_iterator()
    layer = ResizePixels(12, 16, supersampling=4)
    for (file,), found in zip(photographs.files, evaluated, strict=True):
        pixels = decode_file(file)
        np.testing.assert_allclose(layer(pixels[None])[0], found, atol=1e-3)
        np.testing.assert_allclose(resizing.resized(pixels, 12, 16, 4), found, atol=1e-2)


def test_training_without_augmentation_sees_the_same_pixels_but_for_rounding(photographs):
    (evaluated, _), *_ = pipeline.evaluation(photographs, IMAGES).as_numpy_iterator()
    (trained, _), *_ = pipeline.one_epoch(photographs, IMAGES, Augmentation(), seed=0, epoch=0).as_numpy_iterator()
    assert trained.dtype == np.uint8 and np.abs(trained - evaluated).max() <= 1.5


def test_four_samples_come_near_the_mean_of_all_pixels_where_bilinear_alone_does_not(photographs):
    pixels = decode_file(photographs.files[0][0])  # eight times the network's size
    whole = cv2.resize(pixels.astype(np.float32), (16, 12), interpolation=cv2.INTER_AREA)
    apart = {n: np.abs(resizing.resized(pixels, 12, 16, n) - whole).mean() for n in (1, 4)}
    assert apart[1] > 8 and apart[4] < 1e-3  # with eight, bilinear samples at four times the size hit all pixels


def test_four_samples_are_the_mean_of_what_bilinear_gives_at_four_times_the_size(photographs):
    pixels = decode_file(photographs.files[1][0])
    finer = resizing.resized(pixels, 48, 64).reshape(12, 4, 16, 4, 3)
    np.testing.assert_allclose(resizing.resized(pixels, 12, 16, 4), finer.mean(axis=(1, 3)), atol=1e-3)


@pytest.fixture(scope="module", params=[(), ("one", "two")], ids=["single", "views"])
def exported(request, tmp_path_factory):
    """A network, exported in both formats, with its contract."""
    views = request.param
    contract = Contract(
        "t", ("a", "b"), (), views, 12, 16, 96, 128, "1", "free", "Tests.", "drawn", True, False, supersampling=4
    )
    keras.utils.set_random_seed(1)
    pixels = keras.Input((*((len(views),) if views else ()), 12, 16, 3))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(pixels))
    model = serving_model(keras.Model(pixels, layers.Dense(2)(x)), contract)
    folder = tmp_path_factory.mktemp("exported")
    saved_model.write(model, contract, folder / "saved_model")
    (folder / "model.tflite").write_bytes(tflite.convert(folder / "saved_model", contract, "float32"))
    return folder, contract, model


@pytest.mark.parametrize("name", ["saved_model", "model.tflite"])
def test_an_exported_model_resizes_as_evaluation_does(exported, name, photographs):
    folder, contract, model = exported
    loaded = runtime.load(folder / name)
    assert loaded.contract.supersampling == 4
    for (file,) in photographs.files:
        files = [file] * contract.image_files
        inside = runtime.probabilities(loaded, [files], in_graph=True)
        before = runtime.probabilities(loaded, [files])
        pixels = reading.read_input(files, contract)
        np.testing.assert_allclose(inside, np.asarray(model(pixels[None])), atol=1e-4)
        np.testing.assert_allclose(before, inside, atol=1e-4)
