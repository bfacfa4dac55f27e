"""How the networks of rows and folds share what is slow to make, on a network that is not."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

from cervix_tf.config import AdamConfig, Images
from cervix_tf.data import importers
from cervix_tf.data.synthetic import visits
from cervix_tf.run_dir import RunDir
from experiments.mobilenetv2_ensemble import config, data, model, training


@pytest.fixture
def small(monkeypatch):
    """The study with a network of one convolution, dropout and batch normalization in place of MobileNetV2."""

    def single_view(config, kind):
        pixels = keras.Input((config.images.height, config.images.width, 3))
        x = keras.layers.Conv2D(4, 3, strides=4)(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
        x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(x))
        return keras.Model(pixels, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)), name=kind)

    monkeypatch.setattr(model, "single_view", single_view)
    training._REUSABLE.clear()
    yield dataclasses.replace(
        config.DEMO,
        synthetic_visits=48,
        images=Images(height=24, width=32, batch_size=8),
        acetic=AdamConfig(epochs=4, learning_rate=1e-2),
        test_share=0.25,
    )
    training._REUSABLE.clear()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "visits"
    visits.write(root, visits=48, seed=0, height=48, width=64)
    return importers.load("cervigram_visits", root).manifest


def test_a_row_trained_after_another_on_a_reused_network_ends_where_it_ends_alone(small, drawn, tmp_path):
    row, together, alone = config.ROWS["acetic-population"], RunDir(tmp_path / "together"), RunDir(tmp_path / "alone")
    two = dataclasses.replace(small, folds=2)
    first, second = data.folds_of(drawn, two, together)
    before = training.network(small, config.ROWS["acetic-x3"], first)
    after = training.network(small, row, second)
    assert after is before  # one network trains rows that differ in class weights, and folds
    weights = after.get_weights()

    training._REUSABLE.clear()
    fresh = training.network(small, row, data.folds_of(drawn, two, alone)[1])
    assert fresh is not after
    for found, expected in zip(weights, fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    histories = [
        pd.read_csv(out.row("fold-1-acetic-population").history).drop(columns="seconds") for out in (together, alone)
    ]
    pd.testing.assert_frame_equal(*histories)


def test_a_probe_of_random_weights_depends_on_its_row_alone_not_on_what_was_run_before(
    small, drawn, tmp_path, monkeypatch
):
    def trunk(height, width, alpha, weights):
        pixels = keras.Input((height, width, 3))
        return keras.Model(pixels, keras.layers.Conv2D(8, 3, activation="relu")(pixels))

    monkeypatch.setattr(training, "mobilenet_v2", trunk)
    (fold,) = data.folds_of(drawn, small, RunDir(tmp_path))
    first, second = (training.probe(small, config.ROWS["probe-green"], fold).probabilities for _ in range(2))
    np.testing.assert_array_equal(first, second)
