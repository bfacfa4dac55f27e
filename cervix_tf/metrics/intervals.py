"""95 % intervals: exact or Wilson for proportions of independent rows, cluster bootstrap for the rest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cervix_tf import progress

LEVEL = 0.95
FEW_GROUPS = 20
_CHUNK = 250_000  # weights held at a time: 2 MB, so that they stay in the processor's cache
_FEWEST_DRAWS = 16  # together at least: sorting the rows costs as much as several draws
_ROUNDING = 1e-12

Array = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A number that never travels without its n, its interval and the interval's method."""

    value: float | None
    """None where the metric is undefined; `method` then says why."""
    low: float | None
    high: float | None
    n: int
    """Rows that the value rests on."""
    method: str


def clopper_pearson(successes: int, n: int) -> Interval:
    """The proportion `successes / n` with its exact binomial interval: holds the truth in at least 95 %.

    Source: Clopper and Pearson, Biometrika 26, 1934.
    """
    return _binomial(successes, n, "exact", "Clopper-Pearson")


def wilson(successes: int, n: int) -> Interval:
    """The proportion `successes / n` with Wilson's score interval: holds the truth in 95 % on average.

    Source: Wilson, JASA 22, 1927.
    """
    return _binomial(successes, n, "wilson", "Wilson")


def _binomial(successes: int, n: int, method: Literal["exact", "wilson"], name: str) -> Interval:
    from scipy.stats import binomtest

    if n == 0:
        return undefined("no rows")
    ends = binomtest(successes, n).proportion_ci(LEVEL, method)
    return Interval(successes / n, float(ends.low), float(ends.high), n, f"{name} {LEVEL:.0%}")


def undefined(reason: str, n: int = 0) -> Interval:
    """A metric that these rows cannot have, with the reason in `method`."""
    return Interval(None, None, None, n, f"undefined: {reason}")


def resampled_groups(groups: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How often each group is drawn in each resample, (resamples, groups); every row sums to `groups`."""
    drawn = generator.integers(0, groups, size=(resamples, groups))
    return np.stack([np.bincount(each, minlength=groups) for each in drawn])


def parts(weights: Array) -> Iterator[Array]:
    """`weights`, (draws, rows), by as many draws at a time as stay in the processor's cache."""
    step = max(1, _CHUNK // max(1, weights.shape[1]))
    return (weights[at : at + step] for at in range(0, len(weights), step))


def cluster_bootstrap(
    groups: ArrayLike,
    statistics: Callable[[Array], Mapping[Key, Array]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[Key, Array]:
    """Each statistic's value in every resample of whole groups, (resamples,).

    `groups` names the group of each row, (rows,). `statistics` takes row weights,
    (draws, rows), how often each row was drawn, and gives (draws,) for every name;
    NaN where a resample leaves a statistic undefined. All statistics see the same resamples.
    """
    _, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(member.max()) + 1
    generator = np.random.default_rng(seed)
    step = max(_FEWEST_DRAWS, _CHUNK // len(member))
    found: list[Mapping[Key, Array]] = []
    with progress.stage("resampling groups", resamples, "resamples") as resampling:
        for start in range(0, resamples, step):
            drawn = resampled_groups(count, min(step, resamples - start), generator)
            found.append(statistics(np.take(drawn.astype(np.float64), member, axis=1)))
            resampling.advance(len(drawn))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def percentile(value: float, draws: Array, n: int, groups: int, rows: int) -> Interval:
    """`value` with the central 95 % of its bootstrap draws.

    `groups` and `rows` say what was resampled. Draws that are NaN are left out, and the
    method says how many; no interval is given when there is one group or hardly anything varies.

    Source: Efron and Tibshirani 1993, ch. 13; whole clusters: Field and Welsh, JRSS B 69, 2007.
    """
    unit = "bootstrap" if groups == rows else "cluster bootstrap"
    method = f"{unit} {LEVEL:.0%}, {groups} {'rows' if groups == rows else 'groups'}, {len(draws)} resamples"
    known = draws[~np.isnan(draws)]
    if groups < 2:
        return Interval(value, None, None, n, "no interval: there is one group only")
    if len(known) == 0:
        return Interval(value, None, None, n, f"no interval: undefined in every resample ({method})")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if high - low < _ROUNDING:
        return Interval(value, None, None, n, f"no interval: the same in over 95% of the resamples ({method})")
    if len(known) < len(draws):
        method += f" ({len(draws) - len(known)} undefined, left out)"
    if groups < FEW_GROUPS:
        method += "; few groups: likely too narrow"
    return Interval(value, float(low), float(high), n, method)


def share(
    hits: NDArray[np.bool_],
    groups: NDArray[np.object_],
    draws: Array,
    binomial: Callable[[int, int], Interval] = clopper_pearson,
) -> Interval:
    """The share of rows that are `hits`: `binomial` where each row is a group of its own, else by `draws` of groups.

    `hits` and `groups` are (rows,), of the rows that count. Few groups that hardly differ have a narrower bootstrap
    than their rows can justify, so that the interval reaches at least as far as if all rows were independent.
    """
    n, units = len(hits), len(set(groups))
    alone = binomial(int(hits.sum()), n)
    if units == n or alone.value is None:
        return alone
    return _no_narrower(weighted_share(alone.value, draws, n, units, n), alone)


def weighted_share(value: float, draws: Array, n: int, groups: int, rows: int) -> Interval:
    """As `percentile`, of a share of weighted rows: where all agree no resample differs; each group is one trial."""
    if _ROUNDING < value < 1 - _ROUNDING:
        return percentile(value, draws, n, groups, rows)
    whole = clopper_pearson(groups if value > 0.5 else 0, groups)
    return Interval(whole.value, whole.low, whole.high, n, f"{whole.method} of {groups} groups: all rows agree")


def _no_narrower(found: Interval, alone: Interval) -> Interval:
    """`found`, of rows that share groups, extended to the ends of `alone`, of the same rows as if independent."""
    if found.low is None or found.high is None or alone.low is None or alone.high is None:
        return found
    low, high = min(found.low, alone.low), max(found.high, alone.high)
    if (low, high) == (found.low, found.high):
        return found
    return replace(found, low=low, high=high, method=f"{found.method}; at least that of independent rows")


def as_trials(value: float, groups: int, draws: int, generator: np.random.Generator) -> Array:
    """Draws of a share that all rows agree on, 0 or 1, where no resample differs: each group counts as one trial.

    Their outer 2.5 % end where the interval of Clopper and Pearson does.
    """
    below_one = generator.beta(groups, 1, draws)
    return below_one if value == 1 else 1 - below_one


def independent_difference(
    values: tuple[float, float], draws: tuple[Array, Array], groups: tuple[int, int], n: int, *, seed: int = 0
) -> Interval:
    """How far the first of two values in [0, 1] lies above the second, each with draws of groups of its own.

    Resamples in which either is NaN are left out, and the method says how many. A value of 0 or 1 has the draws of
    `as_trials`; no interval is given when a side is one group.
    """
    if min(groups) < 2:
        return Interval(values[0] - values[1], None, None, n, "no interval: a side is one group only")
    generator = np.random.default_rng([seed, 2])  # not that of the draws
    one, two = (
        as_trials(value, units, len(drawn), generator) if value in (0.0, 1.0) else drawn
        for value, drawn, units in zip(values, draws, groups, strict=True)
    )
    apart = one - two
    method = f"difference of two independent cluster bootstraps {LEVEL:.0%}, {groups[0]} and {groups[1]} groups"
    method += f", {len(apart)} resamples"
    known = apart[~np.isnan(apart)]
    if len(known) == 0:
        return Interval(values[0] - values[1], None, None, n, f"no interval: undefined in every resample ({method})")
    if len(known) < len(apart):
        method += f" ({len(apart) - len(known)} undefined, left out)"
    if min(groups) < FEW_GROUPS:
        method += "; few groups: likely too narrow"
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(values[0] - values[1], float(low), float(high), n, method)
