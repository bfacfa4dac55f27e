"""Class weights that follow each epoch's true positive rates, and the metric that measures these."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit
from cervix_tf.training.dynamic_class_weights import DynamicClassWeights
from cervix_tf.training.true_positive_rate import TruePositiveRate

CLASSES = ("a", "b", "c")
EPOCHS, STEPS = 4, 3


def batches(first, seed=0):
    """48 samples an epoch, the same ones: class a is common, c rare."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, 48, p=[0.6, 0.3, 0.1]).astype("int32")
    inputs = (rng.normal(0, 1, (48, 4)) + labels[:, None]).astype("float32")
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(16).repeat(EPOCHS - first)


def train(out, phi="exp(x)", callbacks=()):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = WeightedCrossEntropy([1 / 3] * 3)
    rates = [TruePositiveRate(at, name=f"tpr_{name}") for at, name in enumerate(CLASSES)]
    network.compile(keras.optimizers.Adam(0.05), loss, metrics=rates)
    return fit.fit(
        network,
        batches,
        batches(EPOCHS - 1, seed=1),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        criterion="val_loss",
        out=RunDir(out),
        callbacks=[DynamicClassWeights(loss, phi, CLASSES, RunDir(out)), *callbacks],
    )


def eq_9_and_10(rates, phi):
    errors = [phi(1 - rate) for rate in rates]
    return [each / sum(errors) for each in errors]


def test_each_epoch_is_trained_with_the_weights_of_the_epoch_befores_error_rates(tmp_path):
    history = train(tmp_path)
    weights = history[[f"weight_{name}" for name in CLASSES]].to_numpy()
    rates = history[[f"tpr_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(weights[0], [1 / 3] * 3)
    for epoch in range(1, EPOCHS):
        np.testing.assert_allclose(weights[epoch], eq_9_and_10(rates[epoch - 1], np.exp), rtol=1e-6)
    assert len({tuple(row) for row in rates}) > 1


def test_the_rates_are_those_of_the_training_batches_not_of_validation(tmp_path):
    history = train(tmp_path)
    assert (history["tpr_c"] != history["val_tpr_c"]).any()


def test_the_weights_act_on_the_loss_that_is_trained(tmp_path):
    plain = train(tmp_path / "x", phi="x")
    steep = train(tmp_path / "steep", phi="exp(100x)")
    assert plain["loss"][0] == steep["loss"][0]
    assert plain["loss"][1] != steep["loss"][1]


class Killed(keras.callbacks.Callback):
    """Stops training in the middle of an epoch, as a kill would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_killed_training_goes_on_with_the_weights_it_had(tmp_path):
    whole = train(tmp_path / "whole", phi="exp(100x)")
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "killed", phi="exp(100x)", callbacks=[Killed(epoch)])
    again = train(tmp_path / "killed", phi="exp(100x)")
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), again.drop(columns="seconds"))


def test_the_rate_is_that_of_the_equation_over_all_batches():
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 3, 40), rng.normal(size=(40, 3))
    for of in range(3):
        metric = TruePositiveRate(of)
        for start in range(0, 40, 16):
            metric.update_state(labels[start : start + 16, None], scores[start : start + 16])
        said = scores.argmax(axis=1)
        expected = ((labels == of) & (said == of)).sum() / (labels == of).sum()
        assert float(metric.result()) == pytest.approx(expected)
        metric.reset_state()
        assert np.isnan(float(metric.result()))


def test_the_metric_comes_back_from_its_configuration():
    again = keras.metrics.deserialize(keras.metrics.serialize(TruePositiveRate(2, name="tpr_c")))
    assert (type(again), again.of, again.name) == (TruePositiveRate, 2, "tpr_c")
