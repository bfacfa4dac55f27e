"""Predictions of mirrored images and embeddings of several splits."""

import gc

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.config import Images
from cervix_tf.data import inputs, manifest
from cervix_tf.layers.bfloat16_relu6 import Bfloat16ReLU6
from cervix_tf.study import evaluation

SIDES = Images(height=4, width=4, batch_size=2)


@pytest.fixture
def split_of(tmp_path):
    """What gives the inputs of a split: gray images with a white pixel each, at these rows and columns."""

    def of(name, *white):
        records = []
        for at, pixel in enumerate(white):
            image = np.zeros((4, 4, 3), np.uint8)
            image[pixel] = 255
            path = f"{name}{at}.png"
            (tmp_path / path).write_bytes(cv2.imencode(".png", image)[1].tobytes())
            records.append({"path": path, "label": "ab"[at % 2], "group": f"{name} {at}"})
        return inputs.from_images(manifest.from_records(records, tmp_path), ("a", "b"))

    return of


def corner():
    """A network whose first logit is 2 where the upper left pixel is white, else 0."""
    pixels = keras.Input((4, 4, 3))
    return keras.Model(pixels, keras.layers.Cropping2D(((0, 3), (0, 3)))(pixels)[:, 0, 0, :2] * np.array([2 / 255, 0]))


def test_mirrored_predictions_are_the_mean_over_the_image_both_mirror_images_and_the_half_turn(split_of):
    found = evaluation.predict_mirrored(corner(), split_of("test", (0, 0), (0, 3), (3, 0), (3, 3), (1, 1)), SIDES)
    seen, unseen = np.exp(2) / (np.exp(2) + 1), 0.5
    expected = [(seen + 3 * unseen) / 4] * 4 + [unseen]  # each corner is the upper left one in one of the four
    np.testing.assert_allclose(found.probabilities[:, 0], expected, rtol=1e-6)
    assert list(found.table["group"]) == [f"test {at}" for at in range(5)]


def test_embeddings_say_of_each_row_its_image_and_its_split(split_of):
    splits = {"train": split_of("train", (0, 0), (1, 1)), "test": split_of("test", (2, 2), (0, 0), (3, 3))}
    found = evaluation.embed(corner(), splits, SIDES)
    assert list(found.table["split"]) == ["train"] * 2 + ["test"] * 3
    assert list(found.table["id"]) == ["train0.png", "train1.png", "test0.png", "test1.png", "test2.png"]
    np.testing.assert_allclose(found.values, [[2, 0], [0, 0], [0, 0], [2, 0], [0, 0]])
    assert list(found.labels) == [0, 1, 0, 1, 0]


def test_of_a_network_that_is_let_go_no_graph_stays_in_memory():
    """A gradient of `tf.custom_gradient` would keep them, 120 MB a network of MobileNetV2's depth."""

    def graphs():
        evaluation.release()
        return sum(isinstance(each, tf.Graph) for each in gc.get_objects())

    before = graphs()
    for _ in range(6):
        layers = [keras.layers.Dense(4, dtype="bfloat16"), Bfloat16ReLU6(dtype="bfloat16"), keras.layers.Dense(1)]
        network = keras.Sequential([keras.Input((3,)), *layers])
        network.compile("sgd", "mse")
        network.fit(np.ones((4, 3)), np.ones(4), verbose=0)
        network.predict(np.ones((4, 3)), verbose=0)
        del network, layers
    assert graphs() <= before + 2  # Keras' own
