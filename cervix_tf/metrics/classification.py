"""metrics.json: every metric of one predictions.csv with its n, interval and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.errors import InputError
from cervix_tf.metrics import calibration, confusion, intervals, roc
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.wording import amount

Array = NDArray[np.float64]
Key = tuple[str, str]
"""Section ("metrics", "binary" or a class behind "class:") and name of a metric."""
SPECIFICITIES = ("90", "95")
"""Percent, at which sensitivity is reported."""


def summary(
    predictions: Predictions,
    *,
    positive: Sequence[str] = (),
    validation: Predictions | None = None,
    seed: int = 0,
    resamples: int = 2000,
    data: str = "",
    synthetic: bool = False,
    stand_in: bool = False,
) -> dict[str, Any]:
    """What metrics.json holds: every metric of the labeled rows as {value, low, high, n, method}.

    `positive` names the classes of the binary reading; without it "binary" is null.
    Thresholds for a fixed specificity are chosen on `validation` and only there;
    without it those metrics are left out, and where it shares a group with the test rows
    they are null. An undefined metric is null with the reason in its method. `data`,
    `synthetic` and `stand_in` are passed on as labels of the data.

    Raises `InputError` when no row is labeled, or validation is of other classes.
    """
    tested = _labeled(predictions, "predictions")
    thresholds: dict[str, float] = {}
    refused = ""
    if positive and validation is not None:
        thresholds, refused = _thresholds(tested, validation, positive)
    classes = tested.classes
    rows = _Rows(tested, tuple(positive), thresholds)

    def statistics(weights: Array) -> dict[Key, Array]:
        return _statistics(rows, weights)

    once = np.ones((1, len(tested)))
    points = {key: float(value[0]) for key, value in statistics(once).items()}
    draws = intervals.cluster_bootstrap(tested.groups, statistics, resamples=resamples, seed=seed)
    matrix = confusion.counts(tested.labels, tested.decisions, len(classes), once)[0].astype(int)
    absent = [name for name, count in zip(classes, matrix.sum(1), strict=True) if count == 0]
    shares = _shares(tested, positive, thresholds)
    found = {
        key: asdict(_interval(key, value, draws[key], shares.get(key), absent, tested.groups))
        for key, value in points.items()
    }

    def section(name: str) -> dict[str, Any]:
        return {metric: value for (of, metric), value in found.items() if of == name}

    correct = tested.decisions == tested.labels
    confidence = tested.probabilities.max(axis=1)
    bins = calibration.reliability(confidence, correct, tested.groups, seed=seed, resamples=resamples)
    binary = None
    binary_roc = None
    if positive:
        truth, _, score = tested.positive(positive)
        measured = section("binary")
        if refused:
            measured |= {name: asdict(intervals.undefined(refused)) for each in SPECIFICITIES for name in _at(each)}
        binary = {"positive": list(positive), "metrics": measured, "thresholds": thresholds}
        binary_roc = roc.curve(score, truth)
    return {
        "n": len(tested),
        "groups": len(set(tested.groups)),
        "unlabeled": len(predictions) - len(tested),
        "classes": list(classes),
        "data": data,
        "synthetic": synthetic,
        "stand_in": stand_in,
        "metrics": section("metrics"),
        "binary": binary,
        "per_class": {name: section(f"class:{name}") for name in classes},
        "confusion": matrix.tolist(),
        "calibration": {"bins": bins, "of": "most probable class"},
        "roc": {
            "per_class": {
                name: roc.curve(tested.probabilities[:, at], tested.labels == at) for at, name in enumerate(classes)
            },
            "binary": binary_roc,
        },
    }


def _labeled(predictions: Predictions, name: str) -> Predictions:
    if not (predictions.labels >= 0).any():
        raise InputError(f"{name}: none of the {len(predictions)} rows has a label; metrics need the truth")
    return predictions.where(predictions.labels >= 0)


def _thresholds(tested: Predictions, validation: Predictions, positive: Sequence[str]) -> tuple[dict[str, float], str]:
    """The score above which a row is positive, by specificity on validation; else none and the reason."""
    if validation.classes != tested.classes:
        raise InputError(
            f"validation predictions have the classes {', '.join(validation.classes)}, "
            f"test predictions {', '.join(tested.classes)}; predict both with the same model"
        )
    shared = set(validation.groups) & set(tested.groups)
    if shared:
        both = amount(len(shared), "group")
        return {}, f"validation and test share {both}, and no threshold is chosen on test rows"
    chosen = _labeled(validation, "validation predictions")
    truth, _, score = chosen.positive(positive)
    if truth.all():
        return {}, "validation has no negative row to choose a threshold on"
    return {each: roc.threshold_at_specificity(score, truth, int(each) / 100) for each in SPECIFICITIES}, ""


def _at(specificity: str) -> tuple[str, str]:
    return f"sensitivity_at_{specificity}_specificity", f"specificity_at_{specificity}_specificity"


@dataclass(frozen=True)
class _Rows:
    """The labeled rows, and what the metrics of all draws share: made once, (rows,) each."""

    of: Predictions
    positive: tuple[str, ...]
    thresholds: Mapping[str, float]

    @cached_property
    def confidence(self) -> Array:
        return self.of.probabilities.max(1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return self.of.decisions == self.of.labels

    @cached_property
    def brier(self) -> Array:
        return calibration.brier(self.of.probabilities, self.of.labels)

    @cached_property
    def log_loss(self) -> Array:
        return calibration.log_loss(self.of.probabilities, self.of.labels)

    @cached_property
    def rankings(self) -> list[roc.Ranking]:
        """One a class, by its probability."""
        probabilities, labels = self.of.probabilities, self.of.labels
        return [roc.Ranking(probabilities[:, at], labels == at) for at in range(len(self.of.classes))]

    @cached_property
    def binary(self) -> tuple[NDArray[np.bool_], Array, roc.Ranking]:
        """Truth, score and ranking of the binary reading."""
        truth, _, score = self.of.positive(self.positive)
        return truth, score, roc.Ranking(score, truth)


def _statistics(rows: _Rows, weights: Array) -> dict[Key, Array]:
    """Every metric for each draw of row weights, (draws,)."""
    labels, classes = rows.of.labels, rows.of.classes
    total = weights.sum(1)
    matrix = confusion.counts(labels, rows.of.decisions, len(classes), weights)
    sensitivity, specificity = confusion.sensitivity(matrix), confusion.specificity(matrix)
    precision, f1 = confusion.precision(matrix), confusion.f1(matrix)
    present = matrix.sum(-1) > 0

    def whole(values: Array) -> Array:
        return np.where(confusion.lost(matrix, labels), np.nan, values)

    found: dict[Key, Array] = {
        ("metrics", "accuracy"): confusion.accuracy(matrix),
        ("metrics", "balanced_accuracy"): whole(confusion.balanced_accuracy(matrix)),
        ("metrics", "harmonic_mean_tpr"): confusion.harmonic_mean_tpr(matrix),
        ("metrics", "macro_precision"): whole(confusion.macro(precision)),
        ("metrics", "macro_recall"): whole(confusion.macro(sensitivity)),
        ("metrics", "macro_f1"): whole(confusion.macro(f1)),
        ("metrics", "weighted_precision"): confusion.weighted(precision, matrix),
        ("metrics", "weighted_recall"): confusion.weighted(sensitivity, matrix),
        ("metrics", "weighted_f1"): confusion.weighted(f1, matrix),
        ("metrics", "cohens_kappa"): whole(confusion.kappa(matrix)),
        ("metrics", "quadratic_kappa"): whole(confusion.kappa(matrix, quadratic=True)),
        ("metrics", "brier"): weights @ rows.brier / total,
        ("metrics", "log_loss"): weights @ rows.log_loss / total,
        ("metrics", "expected_calibration_error"): calibration.expected_calibration_error(
            rows.confidence, rows.correct, weights
        ),
    }
    there = set(labels.tolist())
    for at, name in enumerate(classes):
        auc, average_precision = rows.rankings[at].areas(weights)
        found |= {
            (f"class:{name}", "sensitivity"): sensitivity[:, at],
            (f"class:{name}", "specificity"): specificity[:, at],
            (f"class:{name}", "precision"): precision[:, at],
            (f"class:{name}", "f1"): np.where(present[:, at] | (at not in there), f1[:, at], np.nan),
            (f"class:{name}", "auc"): auc,
            (f"class:{name}", "average_precision"): average_precision,
        }
    for metric in ("auc", "average_precision"):
        of_classes = [found[f"class:{name}", metric] for name in classes]
        found["metrics", f"macro_{metric}"] = np.mean(of_classes, axis=0)
    if rows.positive:
        found |= _binary(rows, weights, matrix)
    return found


def _binary(rows: _Rows, weights: Array, matrix: Array) -> dict[Key, Array]:
    truth, score, ranking = rows.binary
    two = confusion.merged(matrix, [rows.of.classes.index(name) for name in rows.positive])
    auc, average_precision = ranking.areas(weights)

    def whole(values: Array) -> Array:
        return np.where(confusion.lost(two, truth.astype(np.int64)), np.nan, values)

    found = {
        "accuracy": confusion.accuracy(two),
        "sensitivity": confusion.sensitivity(two)[:, 1],
        "specificity": confusion.specificity(two)[:, 1],
        "precision": confusion.precision(two)[:, 1],
        "negative_predictive_value": confusion.precision(two)[:, 0],
        "f1": whole(confusion.f1(two)[:, 1]),
        "balanced_accuracy": confusion.sensitivity(two).mean(axis=1),
        "macro_precision": whole(confusion.precision(two).mean(axis=1)),
        "macro_recall": confusion.sensitivity(two).mean(axis=1),
        "macro_f1": whole(confusion.f1(two).mean(axis=1)),
        "cohens_kappa": whole(confusion.kappa(two)),
        "auc": auc,
        "average_precision": average_precision,
        "brier": weights @ (score - truth) ** 2 / weights.sum(1),
    }
    for specificity, threshold in rows.thresholds.items():
        called = confusion.counts(truth.astype(np.int64), (score >= threshold).astype(np.int64), 2, weights)
        sensitivity_name, specificity_name = _at(specificity)
        found[sensitivity_name] = confusion.sensitivity(called)[:, 1]
        found[specificity_name] = confusion.specificity(called)[:, 1]
    return {("binary", name): value for name, value in found.items()}


@dataclass(frozen=True)
class _Share:
    """A metric that is a plain proportion: `hits` among the rows `of`, both boolean, (rows,)."""

    of: NDArray[np.bool_]
    hits: NDArray[np.bool_]


def _shares(tested: Predictions, positive: Sequence[str], thresholds: Mapping[str, float]) -> dict[Key, _Share]:
    labels, decisions = tested.labels, tested.decisions
    shares = {("metrics", "accuracy"): _Share(labels >= 0, labels == decisions)}
    for at, name in enumerate(tested.classes):
        shares[f"class:{name}", "sensitivity"] = _Share(labels == at, decisions == at)
        shares[f"class:{name}", "specificity"] = _Share(labels != at, decisions != at)
        shares[f"class:{name}", "precision"] = _Share(decisions == at, labels == at)
    if positive:
        truth, called, score = tested.positive(positive)
        shares |= {
            ("binary", "accuracy"): _Share(labels >= 0, truth == called),
            ("binary", "sensitivity"): _Share(truth, called),
            ("binary", "specificity"): _Share(~truth, ~called),
            ("binary", "precision"): _Share(called, truth),
            ("binary", "negative_predictive_value"): _Share(~called, ~truth),
        }
        for specificity, threshold in thresholds.items():
            sensitivity_name, specificity_name = _at(specificity)
            shares["binary", sensitivity_name] = _Share(truth, score >= threshold)
            shares["binary", specificity_name] = _Share(~truth, score < threshold)
    return shares


def _interval(
    key: Key,
    value: float,
    draws: Array,
    share: _Share | None,
    absent: list[str],
    groups: NDArray[np.object_],
) -> Interval:
    """The metric's interval: that of `intervals.share` for shares, a bootstrap of groups for the rest."""
    n = len(groups) if share is None else int(share.of.sum())
    if np.isnan(value):
        return intervals.undefined(_reason(key, absent), n)
    if share is not None:
        binomial = intervals.wilson if key[1] == "accuracy" else intervals.clopper_pearson
        return intervals.share(share.hits[share.of], groups[share.of], draws, binomial)
    found = intervals.percentile(value, draws, n, len(set(groups)), n)
    if absent and key[0] == "metrics" and key[1].startswith("macro_"):
        return replace(found, method=f"{found.method}; no row of {', '.join(absent)}: counts as 0")
    if absent and key == ("metrics", "balanced_accuracy"):
        return replace(found, method=f"{found.method}; no row of {', '.join(absent)}: left out")
    return found


def _reason(key: Key, absent: list[str]) -> str:
    section, metric = key
    if metric == "precision":
        return "no row is called this class" if section != "binary" else "no row is called positive"
    if metric == "negative_predictive_value":
        return "no row is called negative"
    if (section, metric) == ("binary", "macro_precision"):
        return "no row is called positive, or none negative"
    if metric.endswith("kappa"):
        return "truth and decisions are all one class"
    if section == "metrics":
        return f"no row of {', '.join(absent)}"
    return "no row of one side" if section == "binary" else "no row of this class, or none of another"
