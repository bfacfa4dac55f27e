import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from cervix_tf.config import AdamConfig
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit
from cervix_tf.training.harmonic_mean_tpr import HarmonicMeanTPR

EPOCHS, STEPS = 5, 4


def network(learning_rate=1e-2):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(fit.adam(AdamConfig(learning_rate=learning_rate)), loss, metrics=[accuracy])
    return model


def batches(first):
    def batch(step):
        seed = tf.stack([step, 7])
        labels = tf.random.stateless_uniform((16,), seed, maxval=2, dtype=tf.int32)
        pixels = tf.random.stateless_normal((16, 8, 8, 3), seed) + tf.cast(labels, tf.float32)[:, None, None, None]
        return pixels, labels

    return tf.data.Dataset.range(first * STEPS, EPOCHS * STEPS).map(batch)


VALIDATION = batches(0).take(2)


def train(out, model=None, **changed):
    settings = {"epochs": EPOCHS, "steps_per_epoch": STEPS, "criterion": "val_loss", **changed}
    model = model or network()
    history = fit.fit(model, batches, VALIDATION, out=RunDir(out), **settings)
    return model, history


def test_a_training_step_is_traced_once(tmp_path):
    model = network()
    traced, step = [], model.train_step
    model.train_step = lambda data: traced.append(1) or step(data)
    train(tmp_path / "run", model)
    assert len(traced) == 1


class Killed(keras.callbacks.Callback):
    """Stops training in the middle of an epoch, as a kill would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 1:
            raise KeyboardInterrupt


def test_a_killed_run_started_again_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole, history = train(tmp_path / "whole")
    for epoch in (0, 1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "killed", callbacks=[Killed(epoch)])
    resumed, again = train(tmp_path / "killed")
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def test_a_finished_run_is_not_trained_again(tmp_path):
    whole, _ = train(tmp_path)
    written = RunDir(tmp_path).history.stat().st_mtime_ns
    again, history = train(tmp_path)
    assert RunDir(tmp_path).history.stat().st_mtime_ns == written and len(history) == EPOCHS
    np.testing.assert_array_equal(whole.get_weights()[0], again.get_weights()[0])


def test_the_kept_weights_are_those_of_the_best_epoch(tmp_path):
    model, history = train(tmp_path)
    loss = model.evaluate(VALIDATION, verbose=0)[0]
    assert loss == pytest.approx(history["val_loss"].min(), rel=1e-5)
    assert fit.best_epoch(history, "val_loss") == history["val_loss"].idxmin() + 1


def test_only_the_best_weights_remain_when_training_has_ended(tmp_path):
    train(tmp_path)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["best.weights.h5", "finished.json"]


def test_training_learns_a_separable_problem(tmp_path):
    _, history = train(tmp_path, network(3e-2))
    assert history["val_loss"].min() < 0.45
    assert history["loss"].iloc[0] > 0.6


def test_a_loss_that_is_no_number_ends_with_a_remedy(tmp_path):
    with pytest.raises(InputError, match=r"loss is nan in epoch 1, batch 2 of 4; no epoch was finished: lower"):
        train(tmp_path, network(float("nan")))
    assert not RunDir(tmp_path).history.exists()


def test_an_epoch_whose_criterion_is_no_number_is_never_the_best_one():
    history = pd.DataFrame({"val_loss": [np.nan, 2.0, 1.0, np.nan], "val_auc": [np.nan, 0.5, 0.7, np.nan]})
    assert fit.best_epoch(history, "val_loss") == fit.best_epoch(history, "val_auc") == 3
    assert not fit.stalled(history, "val_loss", patience=2) and fit.stalled(history, "val_loss", patience=1)
    assert fit.best_epoch(history[:1], "val_auc") == 1


def test_the_first_epoch_does_not_win_with_a_criterion_that_is_no_number(tmp_path):
    weights = []

    class Rate(keras.callbacks.Callback):
        """No number after the first epoch, as the rate of a class that was not met yet."""

        def on_epoch_end(self, epoch, logs):
            logs["val_rate"] = [np.nan, 0.5, np.nan][epoch]
            weights.append(self.model.get_weights()[0])

    model, _ = train(tmp_path, criterion="val_rate", epochs=3, callbacks=[Rate()])
    np.testing.assert_array_equal(model.get_weights()[0], weights[1])


def test_tensorboard_logs_are_written_where_asked_for(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, callbacks=[fit.tensorboard(RunDir(tmp_path))])
    assert list(RunDir(tmp_path).tensorboard.rglob("events.out.tfevents.*"))


def test_an_unknown_criterion_is_named_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"val_f1.*val_accuracy"):
        train(tmp_path, criterion="val_f1")


@pytest.mark.parametrize("epochs", [0, -1])
def test_less_than_one_epoch_is_an_error_with_a_remedy(epochs, tmp_path):
    with pytest.raises(InputError, match=f"{epochs} epochs; ask for at least 1"):
        train(tmp_path, epochs=epochs)


def test_a_damaged_state_costs_one_epoch_and_the_end_is_that_of_an_uninterrupted_run(tmp_path, capsys):
    whole, history = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", callbacks=[Killed(3)])
    state = tmp_path / "run" / "checkpoints" / "epoch-3.npz"
    state.write_bytes(state.read_bytes()[:3000])
    resumed, again = train(tmp_path / "run")
    assert "epoch-3.npz: is damaged" in capsys.readouterr().err
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"), check_exact=True)


def test_a_missing_state_is_an_error_not_a_fresh_start(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Killed(2)])
    for epoch in (1, 2):
        (tmp_path / "checkpoints" / f"epoch-{epoch}.npz").unlink()
    with pytest.raises(InputError, match=r"epoch-2\.npz: is missing"):
        train(tmp_path)


def test_a_state_of_another_network_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Killed(2)])
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    other.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(InputError, match=r"epoch-2\.npz: belongs to another network; remove"):
        train(tmp_path, other)


def test_a_finished_run_of_an_earlier_version_is_not_trained_again_unless_its_weights_are_cut(tmp_path):
    train(tmp_path)
    (tmp_path / "checkpoints" / "finished.json").unlink()
    assert len(train(tmp_path, callbacks=[Killed(0)])[1]) == EPOCHS
    best = RunDir(tmp_path).best_weights
    best.write_bytes(best.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"best\.weights\.h5: does not fit this network .*or remove"):
        train(tmp_path)


def test_the_harmonic_mean_of_rates_equals_hand_arithmetic_over_batches():
    metric = HarmonicMeanTPR(3)
    metric.update_state([0, 0, 1], np.eye(3)[[0, 1, 1]])
    metric.update_state([[2], [2], [2], [2]], np.eye(3)[[2, 0, 0, 0]])
    assert float(metric.result()) == pytest.approx(3 / (1 / 0.5 + 1 / 1 + 1 / 0.25))
    metric.update_state([1] * 3, np.eye(3)[[0, 0, 0]])
    assert float(metric.result()) == pytest.approx(3 / (1 / 0.5 + 1 / 0.25 + 1 / 0.25))


def test_the_harmonic_mean_is_zero_while_a_class_is_never_recognized_and_ignores_absent_ones():
    metric = HarmonicMeanTPR(3)
    metric.update_state([0, 1], np.eye(3)[[0, 0]])
    assert float(metric.result()) == 0
    metric.reset_state()
    metric.update_state([0, 1], np.eye(3)[[0, 1]])
    assert float(metric.result()) == pytest.approx(1)


def test_weights_of_every_further_criterion_are_those_of_its_own_best_epoch(tmp_path):
    model, history = train(tmp_path, criterion="val_loss", also_by=["loss", "val_accuracy"])
    out = RunDir(tmp_path)
    kept = {"val_loss": out.best_weights, **{name: out.best_weights_by(name) for name in ("loss", "val_accuracy")}}
    seen = {}
    for criterion, path in kept.items():
        model.load_weights(path)
        seen[criterion] = model.evaluate(VALIDATION, verbose=0, return_dict=True)
    for criterion in kept:
        row = history.iloc[fit.best_epoch(history, criterion) - 1]
        assert seen[criterion]["loss"] == pytest.approx(row["val_loss"], rel=1e-5), criterion


def test_training_ends_after_so_many_epochs_without_improvement_also_when_it_was_killed(tmp_path):
    def rising(first):  # labels that contradict the ones before: the loss on validation rises after epoch 1
        return batches(first).map(lambda pixels, labels: (pixels, 1 - labels))

    def run(out, **changed):
        settings = {"epochs": EPOCHS, "steps_per_epoch": STEPS, "criterion": "val_loss", "patience": 2, **changed}
        model = network(0.1)
        return model, fit.fit(model, rising, VALIDATION, out=RunDir(out), **settings)

    whole, history = run(tmp_path / "whole")
    assert list(history["epoch"]) == [1, 2, 3] and fit.best_epoch(history, "val_loss") == 1
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", callbacks=[Killed(2)])
    for _ in range(2):  # goes on, and then finds itself finished
        resumed, again = run(tmp_path / "killed")
        assert list(again["epoch"]) == [1, 2, 3]
        for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not list((tmp_path / "killed" / "checkpoints").glob("epoch-*"))


def test_the_learning_rate_falls_from_the_whole_one_along_a_cosine(tmp_path):
    _, history = train(tmp_path, callbacks=[fit.cosine(0.01, EPOCHS)])
    # 0.01 (1 + cos(36 k degrees)) / 2 for k = 0 ... 4
    np.testing.assert_allclose(
        history["learning_rate"], [0.01, 0.00904508, 0.00654508, 0.00345492, 0.000954915], rtol=1e-5
    )


def test_without_a_validation_part_the_training_loss_can_choose_the_epoch(tmp_path):
    model = network()
    history = fit.fit(
        model, batches, None, epochs=EPOCHS, steps_per_epoch=STEPS, criterion="loss", out=RunDir(tmp_path)
    )
    assert "val_loss" not in history and fit.best_epoch(history, "loss") == history["loss"].argmin() + 1
