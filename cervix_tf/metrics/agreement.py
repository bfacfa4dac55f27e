"""How far two readers of the same images agree."""

from __future__ import annotations

import numpy as np

from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.intervals import Array, Interval
from cervix_tf.metrics.means import means
from cervix_tf.metrics.predictions import Predictions


def agreement(ours: Predictions, second: Predictions, seed: int) -> dict[str, Interval]:
    """`kappa` of the decisions of paired rows, the share that is the `same`, and each cell of their confusion matrix.

    Cell "01" holds the rows that the second reader calls the first class and ours the second.
    Source: Cohen 1960.
    """
    one, two, classes = second.decisions, ours.decisions, range(len(ours.classes))
    everywhere = np.ones(len(ours), dtype=bool)
    values = {"same": ((one == two).astype(float), everywhere)}
    for row in classes:
        for column in classes:
            values[f"{row}{column}"] = ((one == row) & (two == column)).astype(float), everywhere
    found = means(values, ours.groups, seed)

    def kappa(weights: Array) -> dict[str, Array]:
        return {"kappa": confusion.kappa(confusion.counts(one, two, len(ours.classes), weights))}

    value = float(kappa(np.ones((1, len(ours))))["kappa"][0])
    if np.isnan(value):
        return {**found, "kappa": intervals.undefined("all predictions are one class", len(ours))}
    draws = intervals.cluster_bootstrap(ours.groups, kappa, seed=seed)["kappa"]
    groups = len(set(ours.groups))
    return {**found, "kappa": intervals.percentile(value, draws, len(ours), groups, len(ours))}
