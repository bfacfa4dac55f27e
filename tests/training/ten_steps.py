"""`python tests/training/ten_steps.py STUDY OUT.npz`: ten steps of every network of a study, on Keras' own backend.

The study's `training.py` makes networks, losses, optimizers, callbacks and batches as it does in a run; only the loop
of epochs in `fit.fit` is replaced, by one that sets weights drawn in NumPy and takes ten steps. Augmentation
and dropout are off, numbers are float32. OUT.npz has, by the name of the training's folder, `<training>/loss` of each
step and `<training>/<variable>`: how far each variable moved.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd

from cervix_tf.config import Augmentation, Images
from cervix_tf.data import inputs, manifest
from cervix_tf.data.manifest import Manifest
from cervix_tf.federated.policy import Policy
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

STEPS = 10
_FOUND: dict[str, np.ndarray] = {}
"""What is written to OUT.npz."""


def drawn(variable: keras.Variable) -> np.ndarray:
    """Where a weight starts, by its path: kernels scaled by their fan-in (He et al. 2015), normalizations neutral."""
    name, shape = variable.path.split("/")[-1], tuple(variable.shape)
    if name in ("gamma", "moving_variance"):
        return np.ones(shape, np.float32)
    if name in ("beta", "bias", "moving_mean"):
        return np.zeros(shape, np.float32)
    fan_in = shape[0] * shape[1] if len(shape) == 4 and shape[-1] == 1 else np.prod(shape[:-1])  # a map at a time
    scale = np.sqrt(2 / fan_in) if "kernel" in name else 0.02
    return np.float32(scale) * np.random.default_rng(zlib.crc32(variable.path.encode())).standard_normal(shape, "f4")


def start(variables: Sequence[keras.Variable], rounding: float = 0.0) -> list[np.ndarray]:
    """Set weights and statistics to what is drawn for them, off by the share `rounding`; gives back their values."""
    for variable in variables:
        if variable.dtype == "float32":  # the others are random layers' counters
            noise = np.random.default_rng(0).standard_normal(variable.shape)
            variable.assign((drawn(variable) * (1 + rounding * noise)).astype("f4"))
    return [fit.value(variable).copy() for variable in variables]


def moved(variables: Sequence[keras.Variable], before: list[np.ndarray]) -> dict[str, np.ndarray]:
    """How far each weight and statistic is from what it was."""
    pairs = zip(variables, before, strict=True)
    return {each.path: fit.value(each) - was for each, was in pairs if each.dtype == "float32"}


def ten_steps(
    network: keras.Model,
    training: Callable,
    validation: object,
    *,
    out: RunDir,
    callbacks: list | None = None,
    **_: object,
) -> pd.DataFrame:
    """In the place of `fit.fit`; `network` is left as it was drawn, so that what follows starts alike everywhere.

    Of `<training>, rounded` the weights began off by one rounding: what becomes of that in ten steps is what two
    backends, which round differently in each, cannot do better than.
    """
    network.optimizer.build(network.trainable_variables)
    initial = [fit.value(variable).copy() for variable in network.optimizer.variables]
    for name, rounding in ((out.root.name, 0.0), (f"{out.root.name}, rounded", 2.0**-24)):
        for variable, value in zip(network.optimizer.variables, initial, strict=True):
            variable.assign(value)
        before = start(network.variables, rounding)
        own = [copy.copy(each) for each in callbacks or []]
        options = {"epochs": STEPS, "steps_per_epoch": 1, "shuffle": False, "verbose": 0}
        _FOUND[f"{name}/loss"] = np.array(network.fit(training(0), callbacks=own, **options).history["loss"])
        _FOUND.update({f"{name}/{path}": far for path, far in moved(network.variables, before).items()})
    start(network.variables)
    return pd.DataFrame()


def images(folder: Path, classes: Sequence[str], count: int, views: Sequence[str] = ("",)) -> Manifest:
    """`count` cases of small drawn pictures; a class has a color and stripes of its own."""
    draw, records = np.random.default_rng(len(classes)), []
    for at in range(count):
        label = at % len(classes)
        stripes = np.sin(np.arange(96) * (0.1 + 0.1 * label))[:, None, None] * 30
        for number, view in enumerate(views):
            picture = draw.uniform(60, 190, 3) + stripes + draw.normal(0, 15, (96, 96, 3))
            name = f"{at}-{number}.png"
            cv2.imwrite(str(folder / name), picture.clip(0, 255).astype("uint8"))
            records.append({"path": name, "label": classes[label], "group": f"w{at}", "case": f"w{at}", "view": view})
    return manifest.from_records(records, folder)


def federated_ssl(folder: Path, out: RunDir) -> None:
    """SimCLR, NT-Xent, SGD; one round of two sites, averaged; a site's classifier."""
    from experiments.federated_ssl import training
    from experiments.federated_ssl.config import CLASSES, DEMO, PAPER, Row
    from experiments.federated_ssl.data import Site

    config = replace(
        DEMO,
        images=Images(64, 64, 16),
        augmentation=Augmentation(),
        fine_tuning_augmentation=Augmentation(),
        ssl=replace(PAPER.ssl, epochs=STEPS),
        federation=Policy(rounds=1),
    )
    whole = images(folder, CLASSES, 48)
    sites = {}
    for name, own in (("a", whole.rows.index < 24), ("b", whole.rows.index >= 24)):
        parts = dict.fromkeys(("train", "validation"), inputs.from_images(whole.where(pd.Series(own)), CLASSES))
        sites[name] = Site(parts, parts)
    networks = training.Networks(config, sites["a"].images["train"])
    networks.random[:] = start(networks.encoder.variables)
    for net in (networks.learner, networks.classifier):
        networks._reusable[net.name].initial[:] = start(net.variables)
    training.pretrained(networks, Row("ssl", 8), sites, "a", ("a", "b"), out)
    training.fine_tune(networks, networks.random, sites["a"], "a", out.row("classifier"))
    averaged = training.pretrained(networks, Row("csfssl", 8, 2), sites, "a", ("a", "b"), out)
    _FOUND["round/loss"] = pd.read_csv(out.row("csfssl-e2-pretraining").history)["loss"].to_numpy()
    for variable, value, was in zip(networks.encoder.variables, averaged, networks.random, strict=True):
        _FOUND[f"round/{variable.path}"] = value - was


STUDIES = {"federated_ssl": federated_ssl}

if __name__ == "__main__":
    study, found = sys.argv[1:]
    fit.fit = ten_steps
    with tempfile.TemporaryDirectory() as scratch:
        pictures, run = Path(scratch) / "pictures", Path(scratch) / "run"
        pictures.mkdir()
        run.mkdir()
        STUDIES[study](pictures, RunDir(run))
    np.savez(found, **_FOUND)
