"""Means of values of rows, several at once, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.intervals import Array, Interval

Key = TypeVar("Key")


def means(
    values: Mapping[Key, tuple[Array, NDArray[np.bool_]]], groups: NDArray[np.object_], seed: int
) -> dict[Key, Interval]:
    """The mean of each (values of the rows, which rows count), (rows,) both.

    The interval is exact binomial where values are 0 or 1 and no two rows are of one group,
    else the bootstrap of whole groups; all from the same resamples.
    """
    independent = len(set(groups)) == len(groups)
    exact = {
        key: intervals.clopper_pearson(int(each[of].sum()), int(of.sum()))
        for key, (each, of) in values.items()
        if (independent and np.isin(each[of], (0.0, 1.0)).all()) or not of.any()
    }
    rest = {key: each for key, each in values.items() if key not in exact}

    def statistics(weights: Array) -> dict[Key, Array]:
        return {key: confusion.ratio(weights @ (each * of), weights @ of) for key, (each, of) in rest.items()}

    draws = intervals.cluster_bootstrap(groups, statistics, seed=seed) if rest else {}
    resampled = {
        key: intervals.percentile(
            float(each[of].mean()), draws[key], int(of.sum()), len(set(groups[of])), int(of.sum())
        )
        for key, (each, of) in rest.items()
    }
    return {key: exact[key] if key in exact else resampled[key] for key in values}
