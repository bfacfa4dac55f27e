"""`python tests/training/ten_steps.py STUDY OUT.npz`: ten steps of every network of a study, on Keras' own backend.

The study's `training.py` makes networks, losses, optimizers, callbacks and batches as it does in a run; only the loop
of epochs in `fit.fit` is replaced, by one of ten steps, each from weights of its own that are drawn in NumPy. (Left
alone, a deep network makes so much of a rounding that after ten steps two trainings have nothing to do with each
other, on one backend either: 15 to 110 % of the way moved.) Class weights and batches go on from step to
step, optimizers from every other one: where a ReLU or a maximum is decided by a rounding, momentum carries it no
further. Augmentation and dropout are off, numbers are float32. OUT.npz has, by the name of the training's folder,
`<training>/loss` of each step and `<training>/<variable>`: how far each variable moved in each step.
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

from cervix_tf.config import AdamConfig, Augmentation, Images, SGDConfig
from cervix_tf.data import inputs, manifest
from cervix_tf.data.manifest import Manifest
from cervix_tf.federated.policy import Policy
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

STEPS = 10
MOST = 1000
"""About so many elements of a variable are written down, evenly spaced."""
_FOUND: dict[str, np.ndarray] = {}
"""What is written to OUT.npz."""


def drawn(variable: keras.Variable, step: int) -> np.ndarray:
    """Where a weight starts in a step, by its path: kernels scaled by their fan-in (He et al. 2015), normalizations
    neutral.
    """
    name, shape = variable.path.split("/")[-1], tuple(variable.shape)
    if name in ("gamma", "moving_variance"):
        return np.ones(shape, np.float32)
    if name in ("beta", "bias", "moving_mean"):
        return np.zeros(shape, np.float32)
    fan_in = shape[0] * shape[1] if len(shape) == 4 and shape[-1] == 1 else np.prod(shape[:-1])  # a map at a time
    scale = np.sqrt(2 / fan_in) if "kernel" in name else 0.02
    return np.float32(scale) * np.random.default_rng([step, zlib.crc32(variable.path.encode())]).standard_normal(
        shape, "f4"
    )


def start(variables: Sequence[keras.Variable], step: int = 0, rounding: float = 0.0) -> list[np.ndarray]:
    """Set weights and statistics to what is drawn for a step, off by the share `rounding`; gives back their values."""
    for variable in variables:
        if variable.dtype == "float32":  # the others are random layers' counters
            noise = np.random.default_rng(0).standard_normal(variable.shape)
            variable.assign((drawn(variable, step) * (1 + rounding * noise)).astype("f4"))
    return [fit.value(variable).copy() for variable in variables]


class Steps(keras.callbacks.Callback):
    """Sets the weights before each step, an epoch each, and writes down the loss and how far every variable moved."""

    def __init__(self, training: str, rounding: float, optimizer: list[np.ndarray]) -> None:
        super().__init__()
        self.training, self.rounding, self.optimizer = training, rounding, optimizer

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.before = start(self.model.variables, epoch, self.rounding)
        if epoch % 2 == 0:
            for variable, value in zip(self.model.optimizer.variables, self.optimizer, strict=True):
                variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        moved = {"loss": np.array(logs["loss"])}
        for variable, before in zip(self.model.variables, self.before, strict=True):
            if variable.dtype == "float32":
                way = (fit.value(variable) - before).ravel()
                moved[variable.path] = way[:: max(1, way.size // MOST)]
        for name, values in moved.items():
            kept = _FOUND.setdefault(f"{self.training}/{name}", np.zeros((STEPS, *values.shape), np.float32))
            kept[epoch] = values


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

    Of `<training>, rounded` the weights began every step off by one rounding: what becomes of that is what two
    backends, which round differently, cannot do better than.
    """
    network.optimizer.build(network.trainable_variables)
    initial = [fit.value(variable).copy() for variable in network.optimizer.variables]
    for name, rounding in ((out.root.name, 0.0), (f"{out.root.name}, rounded", 2.0**-24)):
        own = [Steps(name, rounding, initial), *(copy.copy(each) for each in callbacks or [])]
        network.fit(training(0), callbacks=own, epochs=STEPS, steps_per_epoch=1, shuffle=False, verbose=0)
    start(network.variables)
    return pd.DataFrame()


def smooth(optimizer: AdamConfig | SGDConfig) -> AdamConfig | SGDConfig:
    """Ten epochs; Adam's first step is the sign of the gradient, so where that is 0 but for rounding, it shall not be
    a whole step.
    """
    smooth = {"epsilon": 1e-3} if isinstance(optimizer, AdamConfig) else {}
    return replace(optimizer, epochs=STEPS, **smooth)


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


def cvm_cervix(folder: Path, out: RunDir) -> None:
    """Xception and DeiT-tiny, fused: categorical cross entropy, AdamW."""
    from experiments.cvm_cervix import training
    from experiments.cvm_cervix.config import DEMO, main_row

    config = replace(DEMO, images=Images(80, 80, 8), augmentation=Augmentation())
    config = replace(config, optimizer=smooth(config.optimizer))
    part = images(folder, config.data_source.classes, 16)
    training.train(config, main_row(config), {"train": part, "validation": part}, out.row("cvm"))


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
        _FOUND[f"round/{variable.path}"] = (value - was)[None]


def metric_learning(folder: Path, out: RunDir) -> None:
    """MobileNet with the contrastive, the N-pair and the batch-hard loss, SGD."""
    from experiments.metric_learning import training
    from experiments.metric_learning.config import DEMO, METRIC_LEARNING, Row

    config = replace(DEMO, images=Images(64, 64, 8), augmentation=Augmentation())
    config = replace(config, **{name: smooth(config.optimizer(name)) for name in METRIC_LEARNING})
    part = inputs.from_images(images(folder, ("control", "case"), 40), ("control", "case"))
    every = dict.fromkeys(("train", "val1", "val2", "test"), part)
    initial = training.initial_networks(config, part)
    for method in METRIC_LEARNING:
        training.train(config, Row("mobilenet", method), every, initial, out)


def mobilenetv2_ensemble(folder: Path, out: RunDir) -> None:
    """MobileNetV2 of three kinds of view and the fusion head, class weights that change with every step, Adam."""
    from experiments.mobilenetv2_ensemble import training
    from experiments.mobilenetv2_ensemble.config import CLASSES, DEMO, KINDS, ROWS, VIEWS
    from experiments.mobilenetv2_ensemble.data import Fold

    config = replace(
        DEMO,
        images=Images(64, 96, 8),
        augmentation=Augmentation(),
        network=replace(DEMO.network, dropout=0.0),
        fusion=replace(DEMO.fusion, dropout=0.0),
    )
    config = replace(
        config,
        imbalance=replace(DEMO.imbalance, longer=1.0),
        **{name: smooth(getattr(config, name)) for name in (*KINDS, "ensemble")},
    )
    part = images(folder, CLASSES, 16, VIEWS)
    parts = dict.fromkeys(("train", "validation", "test"), part)
    training.network(config, ROWS["ensemble-weighted"], Fold({**parts, "": part.part("none")}, out, ""))


def resnet50_types(folder: Path, out: RunDir) -> None:
    """ResNet-50 with two dense layers, cross entropy, SGD with momentum."""
    from experiments.resnet50_types import training
    from experiments.resnet50_types.config import CLASSES, DEMO

    config = replace(DEMO, images=Images(64, 64, 8), augmentation=Augmentation(), optimizer=smooth(DEMO.optimizer))
    part = images(folder, CLASSES, 16)
    parts = {"train": part, "validation": part}
    training.train(config, "leak_free", parts, training.network(config), out.row("resnet50"))


STUDIES = {
    each.__name__: each for each in (cvm_cervix, federated_ssl, metric_learning, mobilenetv2_ensemble, resnet50_types)
}

if __name__ == "__main__":
    study, found = sys.argv[1:]
    fit.fit = ten_steps
    with tempfile.TemporaryDirectory() as scratch:
        pictures, run = Path(scratch) / "pictures", Path(scratch) / "run"
        pictures.mkdir()
        run.mkdir()
        STUDIES[study](pictures, RunDir(run))
    np.savez(found, **_FOUND)
