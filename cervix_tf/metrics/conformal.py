"""When a model should stay silent: sets of classes that hold the true one at a stated error, and deferral by doubt."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import intervals
from cervix_tf.metrics.confusion import ratio
from cervix_tf.metrics.predictions import Predictions, check_apart

Array = NDArray[np.float64]
DEFERRED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def group_weights(groups: NDArray[np.object_]) -> Array:
    """1 / rows of its group for each row, (rows,): every woman has one vote, however many images she has."""
    _, member, count = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    return 1 / count[member]


def quantile(scores: Array, weights: Array, error: float) -> float:
    """The bound that a row drawn from a new group exceeds with probability at most `error`; infinity for few groups.

    `scores` and `weights` are (rows,), each group's weights sum to 1. The new group counts as one whose score is
    infinite, so that the promise holds for any number of groups.

    Source: hierarchical conformal prediction (Lee, Barber and Willett, "Distribution-free inference with hierarchical
    data", arXiv:2306.06342); with one row a group it is split-conformal prediction (Vovk, Gammerman and Shafer 2005).
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order]) / (weights.sum() + 1)
    at = int(np.searchsorted(reached, 1 - error - 1e-9))
    return float(scores[order][at]) if at < len(scores) else float("inf")


def bounds(validation: Predictions, error: float, *, by_class: bool = True) -> Array:
    """For each class the largest score, 1 - probability, at which it belongs into a prediction set, (classes,).

    `by_class` (Mondrian) promises `error` in each true class, else over all classes together. One group has one vote,
    in each class that it has rows of. Infinity, so that the class is in every set, where the labeled `validation` has
    fewer than 1 / `error` - 1 groups.

    Source: Vovk, Machine Learning 92, 2013 (class-conditional).
    """
    known = validation.where(validation.labels >= 0)
    scores = 1 - known.probabilities[np.arange(len(known)), known.labels]
    if not by_class:
        return np.full(len(known.classes), quantile(scores, group_weights(known.groups), error))
    found = []
    for at in range(len(known.classes)):
        of = known.labels == at
        found.append(quantile(scores[of], group_weights(known.groups[of]), error) if of.any() else np.inf)
    return np.array(found)


def sets(probabilities: Array, limits: Array) -> NDArray[np.bool_]:
    """Which classes are in the prediction set of each row, (rows, classes); a set may be empty."""
    return 1 - probabilities <= limits + 1e-12


def summary(
    tested: Predictions, validation: Predictions, error: float, *, seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """Class-conditional prediction sets from `validation`, as they hold on `tested`.

    {error, bounds, overall, per_class}: coverage (the true class is in the set), mean size and the share of sets of
    exactly one class, each {value, low, high, n, method}; one vote a group, intervals by resampling groups. A bound of
    None is infinite.

    Raises `InputError` when both share a group.
    """
    check_apart(validation, tested, f"--set-error {error:g}", "prediction sets would promise too much")
    limits = bounds(validation, error)
    known = tested.where(tested.labels >= 0)
    inside = sets(known.probabilities, limits)
    size = inside.sum(1)
    rows = {
        "coverage": inside[np.arange(len(known)), known.labels].astype(np.float64),
        "mean_size": size.astype(np.float64),
        "share_of_one_class": (size == 1).astype(np.float64),
    }
    parts = {"": np.ones(len(known), bool)} | {name: known.labels == at for at, name in enumerate(known.classes)}
    votes = {name: np.where(of, _votes(known.groups, of), 0.0) for name, of in parts.items()}

    def statistics(weights: Array) -> dict[tuple[str, str], Array]:
        return {
            (part, name): ratio((weights * vote) @ value, (weights * vote).sum(1))
            for part, vote in votes.items()
            for name, value in rows.items()
        }

    values = statistics(np.ones((1, len(known))))
    draws = intervals.cluster_bootstrap(known.groups, statistics, resamples=resamples, seed=seed)
    measured: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for (part, name), value in values.items():
        n, units = int(parts[part].sum()), len(set(known.groups[parts[part]]))
        one = float(value[0])
        measured[part][name] = asdict(
            intervals.undefined("no row of this class")
            if np.isnan(one)
            else (intervals.percentile if name == "mean_size" else intervals.weighted_share)(
                one, draws[part, name], n, units, n
            )
        )
    return {
        "error": error,
        "bounds": {name: None if np.isinf(x) else float(x) for name, x in zip(known.classes, limits, strict=True)},
        "overall": measured.pop(""),
        "per_class": measured,
    }


def _votes(groups: NDArray[np.object_], of: NDArray[np.bool_]) -> Array:
    votes = np.zeros(len(groups))
    votes[of] = group_weights(groups[of])
    return votes


def count(share: float, rows: int) -> int:
    """How many of the rows are at most this share of them, whatever rounding makes of 0.35 * 180."""
    return int(share * rows + 1e-9)


def deferral(tested: Predictions, *, seed: int = 0, resamples: int = 2000) -> list[dict[str, Any]]:
    """The error among the rows that are kept when the least sure ones are deferred: {deferred, n, error}.

    A row is as sure as its most probable class. `error` is {value, low, high, n, method}; rows that are equally sure
    are kept or deferred in their order.
    """
    known = tested.where(tested.labels >= 0)
    order = np.argsort(-known.probabilities.max(1), kind="stable")
    found = []
    for share in DEFERRED:
        kept = known.where(np.isin(np.arange(len(known)), order[: len(known) - count(share, len(known))]))
        wrong = kept.decisions != kept.labels
        draws = np.empty(0) if wrong.mean() in (0.0, 1.0) else _errors(kept.groups, wrong, seed, resamples)
        measured = intervals.share(wrong, kept.groups, draws, intervals.wilson)
        found.append({"deferred": share, "n": len(kept), "error": asdict(measured)})
    return found


def _errors(groups: NDArray[np.object_], wrong: NDArray[np.bool_], seed: int, resamples: int) -> Array:
    def share(weights: Array) -> dict[str, Array]:
        return {"error": weights @ wrong / weights.sum(1)}

    return intervals.cluster_bootstrap(groups, share, resamples=resamples, seed=seed)["error"]
