"""A study of seconds with everything that a real one writes while it trains: states, best weights, tables, a folder."""

import dataclasses
import os
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf

from cervix_tf import atomic
from cervix_tf.config import AdamConfig
from cervix_tf.metrics import classification, predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import Preset, Study
from cervix_tf.study import main as study_main
from cervix_tf.training import fit

EPOCHS, STEPS = 8, 2
CLASSES = ("normal", "cancer")


@dataclasses.dataclass(frozen=True)
class Config:
    """A study of seconds."""

    seed: int = 0


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3), keras.layers.Dense(2),
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(fit.adam(AdamConfig(learning_rate=3e-2)), loss, metrics=[accuracy], jit_compile=False)
    return model


def batches(first):
    def batch(step):
        seed = tf.stack([step, 7])
        labels = tf.random.stateless_uniform((16,), seed, maxval=2, dtype=tf.int32)
        return tf.random.stateless_normal((16, 6), seed) + 0.5 * tf.cast(labels, tf.float32)[:, None], labels

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(first * STEPS, EPOCHS * STEPS).map(batch).with_options(options)


class Told(keras.callbacks.Callback):
    """Tells the epochs that are on the disk to a file outside the run (TOLD), and waits, if asked to, in one of them.

    HOLD=path:epoch: in that epoch it makes `path`-here, and goes on once `path` is there.
    """

    def on_epoch_begin(self, epoch, logs=None):
        hold, _, at = os.environ.get("HOLD", "").partition(":")
        if hold and epoch == int(at):
            Path(f"{hold}-here").touch()
            while not Path(hold).exists():
                time.sleep(0.01)

    def on_epoch_end(self, epoch, logs=None):
        if path := os.environ.get("TOLD"):
            with Path(path).open("a") as file:
                file.write(f"{epoch}\n")  # the callback that writes this epoch comes after this one


def run(config, out, request):
    """Train, predict, measure."""
    found = list(batches(0).as_numpy_iterator())
    held_out = tf.data.Dataset.from_tensor_slices(tuple(map(np.concatenate, zip(*found, strict=True)))).batch(16)
    model = network()
    fit.fit(
        model, batches, held_out, epochs=EPOCHS, steps_per_epoch=STEPS, criterion="val_loss", also_by=["val_accuracy"],
        out=out, callbacks=[Told()],
    )  # fmt: skip
    labels = [CLASSES[label] for _, each in found for label in each]
    said = predictions.from_arrays([f"c{at}" for at in range(len(labels))], fit.probabilities(model, held_out), CLASSES,
                          labels=labels, groups=[f"g{at // 2}" for at in range(len(labels))])  # fmt: skip
    predictions.write(said, out.predictions)
    write_json(out.metrics, classification.summary(said, positive=("cancer",), seed=0, resamples=100, data="tiny"))
    with atomic.replacing(out.saved_model) as part:
        (part / "variables").mkdir(parents=True)
        (part / "variables" / "data").write_bytes(out.best_weights.read_bytes())


def main(folder):
    """The study as its command line would run it."""
    presets = {"demo": Preset(Config(), "seconds")}
    study = Study("tiny", "Tiny", presets, (1,), lambda config, out, request: [], run)
    study_main(study, ["--out", str(folder)])


def run_of(folder):
    return RunDir(Path(folder) / "tiny" / "demo")


def results(folder):
    """What must be the same however often the study was killed."""
    out = run_of(folder)
    history = [line.split(",") for line in out.history.read_text().splitlines()]
    seconds = history[0].index("seconds")
    return {
        "metrics.json": out.metrics.read_bytes(),
        "predictions.csv": out.predictions.read_bytes(),
        "history.csv": [line[:seconds] + line[seconds + 1 :] for line in history],
        "config.json": out.config.read_bytes(),
    }
