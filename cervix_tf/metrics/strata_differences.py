"""How far apart two strata are: each one's accuracy, sensitivity, specificity and AUC minus that of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import intervals, multiplicity, roc, strata
from cervix_tf.metrics.confusion import ratio
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.metrics.strata import By

Array = NDArray[np.float64]
FEWEST_GROUPS = intervals.FEW_GROUPS
"""Groups (women) that each side needs for a difference to be stated."""


@dataclass(frozen=True)
class _Metric:
    """A share: `hits` among the rows `of`, both (rows,) bool; or, with a score, the AUC of `hits` against the rest."""

    of: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    score: Array | None = None

    def on(self, side: NDArray[np.bool_]) -> Callable[[Array], Array]:
        """What gives it of the rows of a side, (draws,) for weights, (draws, rows); NaN where undefined."""
        if self.score is not None:
            ranking = roc.Ranking(self.score[side], self.hits[side])
            return lambda weights: ranking.auc(weights[:, side])
        of = (self.of & side).astype(np.float64)
        hits = of * self.hits
        return lambda weights: ratio(weights @ hits, weights @ of)

    def units(self, side: NDArray[np.bool_], groups: NDArray[np.object_]) -> int:
        """Groups of a side that the metric rests on; of an AUC those of the smaller class."""
        parts = [self.of & side] if self.score is None else [self.hits & side, ~self.hits & side]
        return min(len(set(groups[part])) for part in parts)


def differences(
    predictions: Predictions,
    bys: Sequence[By],
    *,
    positive: Sequence[str] = (),
    threshold: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, list[dict[str, Any]]]:
    """Of each stratum of each of `bys` its metrics minus those of all other strata together; of two strata once.

    {by: [{stratum, against, metrics: {name: {value, low, high, n, method, p, p_holm}}}]}. Sensitivity, specificity and
    AUC need `positive` classes; positive is whose score reaches `threshold`, without it whose most probable class is.
    Whole groups are resampled with all their rows, so that women who are in both strata are compared with themselves.
    A side of fewer than `FEWEST_GROUPS` groups gives no difference. p values are Holm's over all differences given.
    Rows whose stratum is unknown are left out.

    Source: whole clusters: Field and Welsh, JRSS B 69, 2007; Holm 1979.
    """
    known = predictions.where(predictions.labels >= 0)
    metrics, groups = _metrics(known, positive, threshold), known.groups
    pairs = [pair for by in dict.fromkeys(bys) for pair in _sides(known, by)]
    keys = [(at, name) for at in range(len(pairs)) for name in metrics]
    of = {(at, name, part): metrics[name].on(pairs[at].sides[part]) for at, name in keys for part in (0, 1)}

    def statistics(weights: Array) -> dict[tuple[int, str, int], Array]:
        return {key: value(weights) for key, value in of.items()}

    values = {key: float(value[0]) for key, value in statistics(np.ones((1, len(known)))).items()} if keys else {}
    draws = intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed) if keys else {}
    generator = np.random.default_rng(seed)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    p_values: dict[tuple[int, str], float] = {}
    for at, name in keys:
        sides = pairs[at].sides
        units = [metrics[name].units(side, groups) for side in sides]
        both = [values[at, name, part] for part in (0, 1)]
        used = metrics[name].of & (sides[0] | sides[1])
        n = int(used.sum())
        if min(units) < FEWEST_GROUPS:
            why = f"too few: {units[0]} and {units[1]} groups, {FEWEST_GROUPS} on each side are needed"
            found[at, name] = asdict(intervals.undefined(why, n))
            continue
        apart = [
            intervals.as_trials(value, unit, resamples, generator) if value in (0.0, 1.0) else draws[at, name, part]
            for part, (value, unit) in enumerate(zip(both, units, strict=True))
        ]
        shared = len(set(groups[used & sides[0]]) & set(groups[used & sides[1]]))
        measured = intervals.percentile(both[0] - both[1], apart[0] - apart[1], n, len(set(groups[used])), n)
        measured = replace(measured, method=f"{measured.method}; {shared} groups are on both sides")
        found[at, name] = asdict(measured)
        p_values[at, name] = multiplicity.bootstrap_p(apart[0] - apart[1])
    for key, p, paid in zip(p_values, p_values.values(), multiplicity.corrected(list(p_values.values())), strict=True):
        found[key] |= {"p": p, "p_holm": paid}
    return {
        by: [
            {
                "stratum": pair.name,
                "against": pair.against,
                "metrics": {name: {"p": None, "p_holm": None, **found[at, name]} for name in metrics},
            }
            for at, pair in enumerate(pairs)
            if pair.by == by
        ]
        for by in bys
    }


@dataclass(frozen=True)
class _Pair:
    """A stratum and what it is compared with; `sides` are the rows of both, (rows,) bool."""

    by: By
    name: str
    against: str
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]]


def _sides(known: Predictions, by: By) -> list[_Pair]:
    ids = known.table["id"]
    rows = {
        name: ids.isin(part.table["id"]).to_numpy()
        for name, part in strata.strata(known, by).items()
        if name != strata.UNKNOWN
    }
    if len(rows) < 2:
        return []
    whole = np.any(list(rows.values()), axis=0)
    names = list(rows)
    if len(names) == 2:
        return [_Pair(by, names[0], names[1], (rows[names[0]], rows[names[1]]))]
    return [_Pair(by, name, "the others", (side, whole & ~side)) for name, side in rows.items()]


def _metrics(known: Predictions, positive: Sequence[str], threshold: float | None) -> dict[str, _Metric]:
    everyone = np.ones(len(known), bool)
    found = {"accuracy": _Metric(everyone, known.decisions == known.labels)}
    if positive:
        truth, called, score = known.positive(positive)
        called = called if threshold is None else score >= threshold
        found["sensitivity"] = _Metric(truth, called)
        found["specificity"] = _Metric(~truth, ~called)
        found["auc"] = _Metric(everyone, truth, score)
    return found
