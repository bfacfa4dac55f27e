"""What a network loses on another data set, and what recalibration on a few of its cases gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cervix_tf.errors import InputError
from cervix_tf.metrics import calibration, confusion, intervals, recalibration, roc
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.predictions import Predictions
from experiments.cross_dataset.config import POSITIVE

Array = NDArray[np.float64]
RESAMPLES = 2000


def balanced_accuracy(said: Predictions, weights: Array) -> Array:
    """Mean recall of the classes, each case's most probable one taken, for each draw of row weights, (draws,).

    NaN for a draw without one of the classes.
    """
    matrix = confusion.counts(said.labels, said.decisions, len(said.classes), weights)
    return np.where(confusion.lost(matrix, said.labels), np.nan, confusion.balanced_accuracy(matrix))


def auc(said: Predictions, weights: Array) -> Array:
    """Area under the ROC curve of the positive class, for each draw of row weights, (draws,)."""
    truth, _, score = said.positive(POSITIVE)
    return roc.Ranking(score, truth).auc(weights)


STATISTICS = {"auc": auc, "balanced_accuracy": balanced_accuracy}


def difference(
    one: Predictions,
    other: Predictions,
    seed: int,
    statistic: Callable[[Predictions, Array], Array] = balanced_accuracy,
) -> Interval:
    """By how much `one` is above `other` on the same cases, groups resampled."""
    other = other.of(one.table["id"])

    def statistics(weights: Array) -> dict[str, Array]:
        return {"difference": statistic(one, weights) - statistic(other, weights)}

    value = float(statistics(np.ones((1, len(one))))["difference"][0])
    draws = intervals.cluster_bootstrap(one.groups, statistics, resamples=RESAMPLES, seed=seed)["difference"]
    found = intervals.percentile(value, draws, len(one), len(set(one.groups)), len(one))
    return replace(found, method=f"paired, {found.method}")


def local_cases(pool: Predictions, count: int, rng: np.random.Generator) -> Predictions | None:
    """`count` cases at random, half of them positive and no two of one group; None where there are fewer."""
    truth, _, _ = pool.positive(POSITIVE)
    chosen: dict[bool, dict[str, int]] = {False: {}, True: {}}  # class -> group -> its case
    for at in rng.permutation(len(pool)).tolist():
        group, of_class = str(pool.groups[at]), chosen[bool(truth[at])]
        if len(of_class) < count // 2 and group not in chosen[False] and group not in chosen[True]:
            of_class[group] = at
    if min(map(len, chosen.values())) < count // 2:
        return None
    return pool.where(np.isin(np.arange(len(pool)), [at for of_class in chosen.values() for at in of_class.values()]))


def recalibrated(
    test: Predictions, pool: Predictions, *, cases: int, draws: int, seed: int
) -> dict[str, tuple[Interval, Interval]]:
    """(as it is, recalibrated) of balanced accuracy and calibration slope on the test cases.

    Recalibrated by Platt scaling on `cases` of the pool: the mean over `draws` of them. The interval holds the
    choice of the cases and of the test groups. Since half of the cases are positive, one half is the threshold for
    balanced accuracy then; the slope does not depend on their share.

    Raises `ValueError` when pool and test cases share a group.
    """
    if shared := set(pool.groups) & set(test.groups):
        raise ValueError(f"{len(shared)} groups are in the pool of local cases and among the test cases")
    before = _measured([test], seed)
    found, refused = [], 0
    for draw in range(draws):
        chosen = local_cases(pool, cases, np.random.default_rng([seed, draw]))
        if chosen is None:
            reason = f"fewer than {cases // 2} local cases of a class"
            return {name: (each, intervals.undefined(reason, len(test))) for name, each in before.items()}
        try:
            found.append(recalibration.applied(test, recalibration.fitted(chosen, "platt")))
        except InputError:  # no better than chance on these cases: a user would go on with the model as it is
            found.append(test)
            refused += 1
    told = f"mean over {draws} draws of {cases} local cases"
    if refused:
        told += f", {refused} of which say nothing (model left as it is)"
    after = {name: replace(each, method=f"{each.method}; {told}") for name, each in _measured(found, seed).items()}
    return {name: (before[name], after[name]) for name in before}


def _measured(found: list[Predictions], seed: int) -> dict[str, Interval]:
    """Balanced accuracy and calibration slope: the mean over several predictions of the same cases, all resampled."""
    points, resampled = [], []
    for at, said in enumerate(found):
        truth, _, score = said.positive(POSITIVE)
        start = calibration.logistic(score, truth, np.ones((1, len(said))), steps=50)

        def statistics(weights: Array, said: Predictions = said, start: tuple[Array, Array] = start) -> dict:
            truth, _, score = said.positive(POSITIVE)
            slope, _ = calibration.logistic(score, truth, weights, start=start)
            return {"balanced_accuracy": balanced_accuracy(said, weights), "slope": slope}

        points.append({"balanced_accuracy": balanced_accuracy(said, np.ones((1, len(said))))[0], "slope": start[0][0]})
        count = max(1, RESAMPLES // len(found))
        resampled.append(intervals.cluster_bootstrap(said.groups, statistics, resamples=count, seed=seed + at))
    groups, rows = len(set(found[0].groups)), len(found[0])
    results = {}
    for name in ("balanced_accuracy", "slope"):
        value = float(np.mean([each[name] for each in points]))
        draws = np.concatenate([each[name] for each in resampled])
        results[name] = (
            intervals.undefined("the probability separates the cases, or never varies", rows)
            if np.isnan(value)
            else intervals.percentile(value, draws, rows, groups, rows)
        )
    return results
