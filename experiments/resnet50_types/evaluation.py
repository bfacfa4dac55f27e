"""What is measured of a row: predictions and metrics, and the difference between two parts with its interval."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.config import Protocol
from cervix_tf.data import inputs, manifest, pipeline, splits
from cervix_tf.evaluate import confusion, intervals, metrics, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.report.tables import Measured
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.train import fit
from experiments.resnet50_types import training
from experiments.resnet50_types.config import CLASSES, Config
from experiments.resnet50_types.data import Parts, described, inputs_of
from experiments.resnet50_types.rows import place
from experiments.resnet50_types.tables import SCORES
from experiments.resnet50_types.training import Network

Values = NDArray[np.float64]


def measure(config: Config, protocol: Protocol, parts: Parts, build: Callable[[], Network], out: RunDir) -> None:
    """Train the row's network as far as that is not done; write its manifest, predictions and, last, metrics."""
    where = place(config, out, protocol)
    if where.metrics.exists():
        return
    manifest.write(splits.with_split_column(parts), where.manifest)
    network = training.trained(config, protocol, parts, build, out.row(protocol))
    said = {}
    for part, path in (("validation", where.validation_predictions), ("test", where.predictions)):
        if part in parts:
            asked = inputs_of(parts[part])
            answers = fit.probabilities(network, pipeline.evaluation(asked, config.images))
            said[part] = predictions.of_rows(asked.rows, answers, asked.classes)
            predictions.write(said[part], path)
    found = metrics.summary(
        said["test"],
        validation=said.get("validation"),
        seed=config.seed,
        data=f"{described(config)}, protocol {protocol}",
        synthetic=bool(config.synthetic_women),
    )
    write_json(where.metrics, found)


def scores(found: Mapping[str, Any]) -> dict[str, Measured]:
    """The numbers of Table 2 out of a `metrics.summary`, in per cent."""
    measured: dict[str, Measured] = {}
    for name in SCORES:
        one = found["metrics"][name]
        value, low, high = (None if one[key] is None else 100 * one[key] for key in ("value", "low", "high"))
        measured[name] = {"value": value, "low": low, "high": high, "n": one["n"], "method": one["method"]}
    return measured


def constant(said: Predictions, seed: int) -> dict[str, Measured]:
    """The scores of answering the commonest class for every image."""
    answers = np.zeros_like(said.probabilities)
    answers[:, np.bincount(said.labels, minlength=len(said.classes)).argmax()] = 1
    table = said.table
    always = predictions.of(table["id"], answers, said.classes, labels=table["label"], groups=table["group"])
    return scores(metrics.summary(always, seed=seed))


def like_training(said: Predictions, parts: Parts) -> NDArray[np.bool_]:
    """Which test images, (rows,), have a near-duplicate in the training part."""
    train = parts["train"].rows
    return np.isin(said.groups, inputs.units(train.assign(id=train["path"])))


def difference(one: Predictions, two: Predictions, seed: int) -> dict[str, Measured]:
    """By how many points the scores of `one` are above those of `two`, each part's groups resampled on their own."""
    values = [_scores_of(said, np.ones((1, len(said)))) for said in (one, two)]
    draws = [
        intervals.cluster_bootstrap(said.groups, functools.partial(_scores_of, said), seed=seed + at)
        for at, said in enumerate((one, two))
    ]
    groups = [len(set(said.groups)) for said in (one, two)]
    measured: dict[str, Measured] = {}
    for name in SCORES:
        apart = 100 * (draws[0][name] - draws[1][name])
        known = apart[~np.isnan(apart)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        left_out = f" ({len(apart) - len(known)} undefined, left out)" if len(known) < len(apart) else ""
        few = "; few groups: likely too narrow" if min(groups) < intervals.FEW_GROUPS else ""
        measured[name] = {
            "value": 100 * float(values[0][name][0] - values[1][name][0]),
            "low": float(low),
            "high": float(high),
            "n": len(one) + len(two),
            "method": f"difference of two independent cluster bootstraps 95%, {groups[0]} and {groups[1]} groups, "
            f"{len(apart)} resamples{left_out}{few}",
        }
    return measured


def _scores_of(said: Predictions, weights: Values) -> dict[str, Values]:
    """Accuracy and macro F1, (draws,), for each draw of row weights; NaN for F1 where a draw loses a class."""
    matrix = confusion.counts(said.labels, said.decisions, len(CLASSES), weights)
    there = np.unique(said.labels)
    lost = (matrix.sum(-1)[:, there] == 0).any(1)
    f1 = confusion.macro(confusion.f1(matrix))
    return {"accuracy": confusion.accuracy(matrix), "macro_f1": np.where(lost, np.nan, f1)}
