"""Means of values of rows, several at once, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.intervals import Array, Interval

Key = TypeVar("Key")


def means(
    values: Mapping[Key, tuple[Array, NDArray[np.bool_]]],
    groups: NDArray[np.object_],
    seed: int,
    binomial: Callable[[int, int], Interval] = intervals.clopper_pearson,
) -> dict[Key, Interval]:
    """The mean of each (values of the rows, which rows count), (rows,) both.

    The interval is that of `intervals.share` where values are 0 or 1, else the bootstrap of whole groups; all from the
    same resamples.
    """
    shares = {key for key, (each, of) in values.items() if np.isin(each[of], (0.0, 1.0)).all()}
    independent = len(set(groups)) == len(groups)
    rest = {key: each for key, each in values.items() if not (independent and key in shares)}

    def statistics(weights: Array) -> dict[Key, Array]:
        return {key: confusion.ratio(weights @ (each * of), weights @ of) for key, (each, of) in rest.items()}

    draws = intervals.cluster_bootstrap(groups, statistics, seed=seed) if rest else {}

    def interval(key: Key) -> Interval:
        each, of = values[key]
        if key in shares:
            return intervals.share(each[of] == 1, groups[of], draws.get(key, np.empty(0)), binomial)
        n = int(of.sum())
        return intervals.percentile(float(each[of].mean()), draws[key], n, len(set(groups[of])), n)

    return {key: interval(key) for key in values}
