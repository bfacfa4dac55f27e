"""comparison.json: every model's metric, and every pair's difference with interval and corrected p value."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cervix_tf.compare import significance
from cervix_tf.compare.significance import Test
from cervix_tf.metrics import confusion, intervals, multiplicity, roc
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.multiplicity import Correction
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]
Metric = Literal["accuracy", "auc", "macro_f1"]
Statistic = Callable[[Array], Array]
"""(draws,) of row weights, (draws, rows)."""


def compare(
    models: Mapping[str, Predictions],
    metric: Metric = "accuracy",
    *,
    positive: Sequence[str] = (),
    correction: Correction = "holm",
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """What comparison.json holds, from predictions paired by `pairing.paired`.

    {"metric", "positive", "n", "groups", "correction", "models": {name: {value, low,
    high, n, method}}, "pairs": [{"first", "second", "difference": {...}, "test",
    "p", "p_corrected", "kappa": {...}, "only_first", "only_second", ...}]}.

    Differences are first minus second. Accuracy: McNemar's test, or sign flips of whole
    groups where groups hold several rows. AUC of the `positive` classes: DeLong, or the
    bootstrap where groups hold several rows; without `positive` the mean of the
    one-versus-rest AUCs, always by bootstrap. Macro F1: the
    bootstrap. A bootstrap of fewer than `intervals.FEW_GROUPS` groups (of the side that
    has the fewer) tests nothing: p is 1. Kappa is of the two models' decisions.
    """
    names = list(models)
    first = models[names[0]]
    groups, rows = len(set(first.groups)), len(first)
    pairs = list(itertools.combinations(names, 2))

    measured = {name: _metric(model, metric, positive) for name, model in models.items()}

    def statistics(weights: Array) -> dict[tuple[str, ...], Array]:
        found: dict[tuple[str, ...], Array] = {(name,): value(weights) for name, value in measured.items()}
        for pair in pairs:
            found[pair] = found[(pair[0],)] - found[(pair[1],)]
            found["kappa", *pair] = confusion.kappa(_agreement(models[pair[0]], models[pair[1]], weights))
        return found

    points = {key: float(value[0]) for key, value in statistics(np.ones((1, rows))).items()}
    draws = intervals.cluster_bootstrap(first.groups, statistics, resamples=resamples, seed=seed)

    def interval(key: tuple[str, ...]) -> Interval:
        if np.isnan(points[key]):
            return intervals.undefined(
                "all decisions are one class" if key[0] == "kappa" else "a class has no row", rows
            )
        return intervals.percentile(points[key], draws[key], rows, groups, rows)

    def alone(name: str) -> Interval:
        if metric == "accuracy":  # as metrics.json has it
            right = models[name].decisions == models[name].labels
            return intervals.share(right, first.groups, draws[name,], intervals.wilson)
        return interval((name,))

    entries: list[dict[str, Any]] = []
    for pair in pairs:
        one, two = models[pair[0]], models[pair[1]]
        right, other_right = one.decisions == one.labels, two.decisions == two.labels
        test = _test(one, two, metric, positive, draws[pair], groups == rows, seed)
        entries.append(
            {
                "first": pair[0],
                "second": pair[1],
                "difference": asdict(interval(pair)),
                "test": test.method,
                "p": test.p,
                "only_first": int((right & ~other_right).sum()),
                "only_second": int((other_right & ~right).sum()),
                "same_decision": int((one.decisions == two.decisions).sum()),
                "kappa": asdict(interval(("kappa", *pair))),
            }
        )
    adjusted = multiplicity.corrected([entry["p"] for entry in entries], correction)
    for entry, p in zip(entries, adjusted, strict=True):
        entry["p_corrected"] = p
    return {
        "metric": metric,
        "positive": list(positive) if metric == "auc" else [],
        "n": rows,
        "groups": groups,
        "correction": correction,
        "models": {name: asdict(alone(name)) for name in names},
        "pairs": entries,
    }


def independent_difference(
    first: Predictions, second: Predictions, metric: Metric = "accuracy", *, positive: Sequence[str] = (), seed: int = 0
) -> Interval:
    """How far the first one's metric lies above the second's where they are of other cases, all labeled.

    Each one's groups are resampled on their own.
    """

    def resampled(model: Predictions, seed: int) -> tuple[float, Array]:
        value = _metric(model, metric, positive)
        draws = intervals.cluster_bootstrap(model.groups, lambda weights: {metric: value(weights)}, seed=seed)[metric]
        return float(value(np.ones((1, len(model))))[0]), draws

    (one, draws_one), (two, draws_two) = resampled(first, seed), resampled(second, seed + 1)
    groups, draws = (len(set(first.groups)), len(set(second.groups))), (draws_one, draws_two)
    return intervals.independent_difference((one, two), draws, groups, len(first) + len(second), seed=seed)


def _metric(model: Predictions, metric: Metric, positive: Sequence[str]) -> Statistic:
    """What gives the metric of a model's rows for each draw of row weights."""
    if metric == "accuracy":
        right = model.decisions == model.labels
        return lambda weights: weights @ right / weights.sum(1)
    if metric == "macro_f1":
        return lambda weights: _macro_f1(model, weights)
    if positive:
        truth, _, score = model.positive(positive)
        return roc.Ranking(score, truth).auc
    rankings = [roc.Ranking(model.probabilities[:, at], model.labels == at) for at in range(len(model.classes))]
    return lambda weights: np.mean([ranking.auc(weights) for ranking in rankings], axis=0)


def _macro_f1(model: Predictions, weights: Array) -> Array:
    matrix = confusion.counts(model.labels, model.decisions, len(model.classes), weights)
    lost = (matrix.sum(-1)[:, np.unique(model.labels)] == 0).any(1)  # says nothing about the model
    return np.where(lost, np.nan, confusion.macro(confusion.f1(matrix)))


def _agreement(one: Predictions, two: Predictions, weights: Array) -> Array:
    return confusion.counts(one.decisions, two.decisions, len(one.classes), weights)


def _test(
    one: Predictions,
    two: Predictions,
    metric: Metric,
    positive: Sequence[str],
    draws: Array,
    independent: bool,
    seed: int,
) -> Test:
    right, other_right = one.decisions == one.labels, two.decisions == two.labels
    if metric == "accuracy":
        if independent:
            return significance.mcnemar(int((right & ~other_right).sum()), int((other_right & ~right).sum()))
        return significance.sign_flip(right.astype(float) - other_right, one.groups, seed=seed)
    if metric == "auc" and independent and positive:
        truth, _, score = one.positive(positive)
        return significance.delong(score, two.positive(positive)[2], truth)[2]
    known = int((~np.isnan(draws)).sum())
    if known == 0:
        return Test(1.0, "no resample has every class")
    truth = one.positive(positive)[0] if metric == "auc" and positive else np.ones(len(one), bool)
    groups = min(len(set(one.groups[side])) for side in (truth, ~truth) if side.any())
    if groups < intervals.FEW_GROUPS:  # two groups that agree would have the smallest p there is
        return Test(1.0, f"no test: {groups} groups, a bootstrap needs {intervals.FEW_GROUPS}")
    return Test(multiplicity.bootstrap_p(draws), f"bootstrap, {known} resamples")
