"""With Keras on JAX: the same losses, outputs and training steps as on TensorFlow, up to rounding; whole runs end."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from cervix_tf import losses
from cervix_tf.config import AdamConfig, SGDConfig
from cervix_tf.metrics import predictions

BACKENDS = ("tensorflow", "jax")
pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

TRAIN = """
import sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from cervix_tf.config import AdamConfig
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

def trained(folder, *callbacks):
    "All variables, and the losses of three epochs in the run `folder`; of a killed training nothing."
    draw, dense = np.random.default_rng(1), keras.layers.Dense(8, activation="relu")
    features, labels = draw.normal(size=(40, 6)).astype("float32"), draw.integers(0, 3, 40)
    batches = tf.data.Dataset.from_tensor_slices((features, labels)).batch(8)
    layers = [dense, keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((6,)), *layers])
    network.set_weights([np.abs(draw.normal(size=each.shape)) for each in network.weights])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(fit.optimizer(AdamConfig(epochs=3, learning_rate=0.01, weight_decay=0.01)), loss)
    Path(folder).mkdir(exist_ok=True)
    options = {"epochs": 3, "steps_per_epoch": 5, "criterion": "loss", "out": RunDir(Path(folder))}
    try:
        history = fit.fit(network, lambda first: batches.repeat(3 - first), None, callbacks=[*callbacks], **options)
    except KeyboardInterrupt:
        return np.zeros(0)
    return np.concatenate([history["loss"], *(fit.value(each).ravel() for each in network.variables)])
"""
IN_BOTH = (
    TRAIN
    + """
from cervix_tf import losses
from cervix_tf.config import AdamConfig, SGDConfig
from cervix_tf.layers import FusedBatchNormalization
from cervix_tf.training import fit, loss_variables

draw = np.random.default_rng(0)
labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
logits = draw.normal(size=(8, 4)).astype("float32")
unit = draw.normal(size=(8, 5)).astype("float32")
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
found = {}
for loss in (losses.FocalLoss(), losses.WeightedCrossEntropy([1, 2, 3, 4])):
    found[type(loss).__name__] = loss(labels, logits)
for loss in (losses.BatchHard(), losses.Contrastive(), losses.NPair(), losses.NTXent()):
    found[type(loss).__name__] = loss(labels, unit)

def small():
    pixels = x = keras.Input((16, 16, 3))
    for channels in (8, 16):
        x = keras.layers.Conv2D(channels, 3, strides=2, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(FusedBatchNormalization(momentum=0.9)(x))
    return keras.Model(pixels, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))

pixels = draw.uniform(0, 255, (40, 16, 16, 3)).astype("float32") / 255
truth = draw.integers(0, 4, 40)
start = [0.1 * draw.normal(size=each.shape) + (each.path.endswith(("gamma", "variance"))) for each in small().variables]
for name, config in (
    ("SGD", SGDConfig(epochs=1, learning_rate=0.01, momentum=0.9, weight_decay=0.01)),
    ("AdamW", AdamConfig(epochs=1, learning_rate=0.001, weight_decay=0.01, epsilon=1e-3)),
):
    network = small()
    for variable, value in zip(network.variables, start):
        variable.assign(np.abs(value) if variable.path.endswith("variance") else value)
    network.compile(fit.optimizer(config), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(pixels, truth, batch_size=4, shuffle=False, verbose=0)
    found[name] = np.concatenate([fit.value(each).ravel() for each in network.variables])

network, loss = small(), losses.WeightedCrossEntropy([1, 1, 1, 1])
for variable, value in zip(network.variables, start):
    variable.assign(np.abs(value) if variable.path.endswith("variance") else value)
network.compile(fit.optimizer(config), loss, metrics=loss_variables.metrics(loss))
doubled = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: loss.assign([2, 2, 2, 2]))
held_out = (pixels[:8], truth[:8])
options = {"validation_data": held_out, "epochs": 2, "shuffle": False, "verbose": 0}
history = network.fit(pixels, truth, callbacks=[doubled], **options).history
found["assigned"] = np.stack([history[name] for name in sorted(history)])

folder = sys.argv[1].removesuffix(".npz")
found["whole"] = trained(folder + "-whole")
trained(folder, Killed())
np.savez(sys.argv[1], **{name: keras.ops.convert_to_numpy(each) for name, each in found.items()})
"""
)


def python(backend, *words, folder=None):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What both backends compute, and a run of each that was killed after its first epoch."""
    folder = tmp_path_factory.mktemp("backends")
    for backend in BACKENDS:
        python(backend, "-c", IN_BOTH, folder / f"{backend}.npz")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """Of both backends: name of a loss or an optimizer -> its value, or all variables after ten steps."""
    return [dict(np.load(folder / f"{backend}.npz")) for backend in BACKENDS]


@pytest.mark.parametrize("name", [each for each in losses.__all__ if each[0].isupper()])
def test_a_loss_is_the_same(name, found):
    ours, theirs = (each[name] for each in found)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [AdamConfig, SGDConfig])
def test_ten_steps_end_with_the_same_weights_and_statistics(config, found):
    ours, theirs = (each["AdamW" if config is AdamConfig else "SGD"] for each in found)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_class_weights_that_are_assigned_after_an_epoch_act_in_the_next(found):
    ours, theirs = (each["assigned"] for each in found)
    assert ours[0, 1] > 1.5 * ours[0, 0]
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


@pytest.mark.parametrize("begun, ended", [BACKENDS, BACKENDS[::-1]])
def test_a_training_that_was_killed_on_one_backend_goes_on_with_the_other(begun, ended, folder, found):
    """With the weights, statistics and optimizer's state that it had: its loss and weights end as if never killed."""
    script = TRAIN + "np.save(sys.argv[2], trained(sys.argv[1]))"
    python(ended, "-c", script, folder / begun, folder / f"{begun}.npy")
    assert len((folder / begun / "history.csv").read_text().splitlines()) == 1 + 3
    np.testing.assert_allclose(np.load(folder / f"{begun}.npy"), found[0]["whole"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a whole run on JAX said, and the folder of its `run` and its `pictures`."""
    import cv2

    root = tmp_path_factory.mktemp("trained")
    draw = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (root / "pictures" / name).mkdir(parents=True)
        for at in range(16):
            picture = draw.normal(level, 20, (32, 32, 3)).clip(0, 255).astype("uint8")
            cv2.imwrite(str(root / "pictures" / name / f"{at}.png"), picture)
    python("jax", "-m", "cervix_tf.data", "import", "folder", "pictures", "-o", "all.csv", folder=root)
    command = ["-m", "cervix_tf.train", "all.csv", "--root", "pictures", "-o", "run", "--network", "resnet10_narrow"]
    command += ["--weights", "random", "--images.size", "32", "--images.batch-size", "8", "--optimizer.epochs", "2"]
    return python("jax", *command, folder=root), root


def test_a_training_on_jax_is_exported_and_reported_like_any_other(trained):
    said, root = trained
    assert "trained and tested with jax; exporting and reporting with TensorFlow" in said
    run = root / "run"
    assert json.loads((run / "environment.json").read_text())["keras_backend"] == "jax, tensorflow"
    assert (run / "report.html").exists() and (run / "saved_model").is_dir()
    assert zipfile.is_zipfile(run / "model.tflite")
    folders = ("pictures/dark", "pictures/light")
    assert python("tensorflow", "-m", "cervix_tf.predict", "run", *folders, folder=root).count(".png") == 32


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_was_trained_on_jax_is_evaluated_alike_on(backend, trained):
    _, root = trained
    command = ["-m", "cervix_tf.evaluate", "run/model.keras", "--manifest", "run/manifest.csv", "--root", "pictures"]
    python(backend, *command, "-o", backend, "--resamples", "100", folder=root)
    ours, theirs = (predictions.read(root / name / "predictions.csv") for name in ("run", backend))
    assert list(theirs.table["id"]) == list(ours.table["id"])
    np.testing.assert_allclose(theirs.probabilities, ours.probabilities, atol=1e-5)
