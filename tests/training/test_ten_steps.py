"""Ten steps of a study's own networks, losses and optimizers are the same on TensorFlow and on JAX.

Both start from the same weights and see the same batches, but round differently in every step, and a deep ReLU network
with batch normalization makes more of that in each. How much more is measured beside it, on TensorFlow: the same
training from weights that are off by one rounding.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

STUDIES = ("federated_ssl",)
MOST = 10
"""Times what a rounding becomes in ten steps. Measured: 1.1 times in federated_ssl (0.6 % of how far the weights moved
by NT-Xent, a millionth in the classifier, whose steps are short)."""


def ten_steps(backend, study, file):
    """Training -> its losses, and how far each of its variables moved."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, str(Path(__file__).with_name("ten_steps.py")), study, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    trainings: dict[str, dict[str, np.ndarray]] = {}
    with np.load(file) as found:
        for key in found:
            training, name = key.split("/", 1)
            trainings.setdefault(training, {})[name] = found[key]
    return trainings


def apart(one, other):
    """How far the variables of `other` are from those of `one`, as a share of how far these moved."""
    assert list(one) == list(other)
    moved = [name for name in one if name != "loss"]
    difference = sum(np.square(one[name] - other[name], dtype="f8").sum() for name in moved)
    return np.sqrt(difference / sum(np.square(one[name], dtype="f8").sum() for name in moved))


@pytest.mark.parametrize("study", STUDIES)
def test_ten_steps_on_jax_are_those_on_tensorflow_as_far_as_rounding_lets_them(study, tmp_path):
    ours, theirs = (ten_steps(each, study, tmp_path / f"{each}.npz") for each in ("tensorflow", "jax"))
    assert list(ours) == list(theirs)
    rounded = {
        training: apart(ours[training], ours[f"{training}, rounded"])
        for training in ours
        if f"{training}, rounded" in ours
    }
    assert max(rounded.values()) < 0.02, rounded  # else there would be nothing left to compare
    for training in (name for name in ours if not name.endswith(", rounded")):
        one, other = ours[training], theirs[training]
        if training in rounded:  # else the losses of a whole federation
            np.testing.assert_allclose(other["loss"][0], one["loss"][0], rtol=1e-4, err_msg=training)
        assert apart(one, other) < MOST * rounded.get(training, max(rounded.values())), training
