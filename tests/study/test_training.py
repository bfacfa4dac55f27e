import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import training

EPOCHS, STEPS = 3, 2


class Killed(BaseException):
    pass


class KilledAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise Killed


def train(out, callbacks=()):
    rng = np.random.default_rng(0)
    pixels, labels = rng.normal(size=(8, 3)).astype("float32"), np.arange(8) % 2
    with training.building("cpu", 1):
        network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        network.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(4)
    history = training.train(
        network,
        lambda first: data.repeat(EPOCHS - first),
        lambda: data,
        inputs=8,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        criterion="val_loss",
        out=RunDir(out),
        callbacks=callbacks,
    )
    return network.get_weights(), history


def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path):
    whole, history = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", [KilledAfter(2)])
    again, after = train(tmp_path / "killed")
    assert all(np.array_equal(one, other) for one, other in zip(again, whole, strict=True))
    assert list(after["val_loss"]) == list(history["val_loss"])


@pytest.mark.parametrize("left", ["", 'epoch,loss\n"1', "\x00"])
def test_a_damaged_history_is_named_with_what_to_do(tmp_path, left):
    with pytest.raises(Killed):
        train(tmp_path, [KilledAfter(2)])
    (tmp_path / "history.csv").write_text(left)
    with pytest.raises(InputError, match=r"history\.csv: is missing, damaged .*copy the run again as a whole"):
        train(tmp_path)
