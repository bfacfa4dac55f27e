"""Ten steps of each study's own networks, losses and optimizers are the same on TensorFlow and on JAX.

Both take each step from the same weights with the same batch, but round differently, and a deep ReLU network with
batch normalization makes more of that. How much more is measured beside it, on TensorFlow alone: the same steps with
its other library of convolutions (oneDNN), and from weights that are off by one rounding.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

STUDIES = ("cvm_cervix", "metric_learning", "mobilenetv2_ensemble", "resnet50_types")
MOST = 3
"""Times what a rounding becomes in a step. Measured: 0.3 to 1.3 times (all studies, AVX2)."""
LEFT = 0.03
"""What a rounding may become, as a share of a step: were it more, there would be nothing left to compare. Measured on
AVX2: 0.02 with batch-hard on MobileNet, whose hardest pairs hang on roundings, and less than 0.007 with all others."""
ROUND = 0.06
"""What a federation's round may be apart, ten steps of a shallow network without new weights. Measured: 0.007."""


def ten_steps(backend, study, file, one_dnn=0):
    """Training -> its losses, and how far each of its variables moved."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_ENABLE_ONEDNN_OPTS": str(one_dnn)}
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
    """How far the variables of `other` are from those of `one`, as a share of how far these moved; in each step."""
    assert list(one) == list(other)
    moved = [name for name in one if name != "loss"]

    def squares(values):
        return np.square(values, dtype="f8").reshape(len(values), -1).sum(axis=1)

    return np.sqrt(sum(squares(one[name] - other[name]) for name in moved) / sum(squares(one[name]) for name in moved))


@pytest.mark.parametrize(
    "study", ["federated_ssl", *(pytest.param(each, marks=pytest.mark.backends) for each in STUDIES)]
)
def test_ten_steps_on_jax_are_those_on_tensorflow_as_far_as_rounding_lets_them(study, tmp_path):
    ours, theirs = (ten_steps(each, study, tmp_path / f"{each}.npz") for each in ("tensorflow", "jax"))
    again = ten_steps("tensorflow", study, tmp_path / "oneDNN.npz", one_dnn=1)
    assert list(ours) == list(theirs) == list(again)
    for training in (name for name in ours if not name.endswith(", rounded")):
        one, other, rounded = ours[training], theirs[training], ours.get(f"{training}, rounded")
        if rounded is None:
            assert np.all(apart(one, other) < ROUND), training
            continue
        np.testing.assert_allclose(other["loss"], one["loss"], rtol=1e-4, err_msg=training)
        # Of ten steps the middle one: in a few a ReLU or a maximum hangs on a rounding, in others on other processors.
        off, library, difference = (np.median(apart(one, each)) for each in (rounded, again[training], other))
        print(f"{study} {training}: rounded {off:.2g}, oneDNN {library:.2g}, JAX {difference:.2g}")
        unavoidable = max(off, library)
        assert unavoidable < LEFT, training
        assert difference < MOST * unavoidable, training
