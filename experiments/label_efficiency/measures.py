"""Scores over several draws of the labels, with intervals that hold the tested groups and the draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.predictions import Predictions
from experiments.label_efficiency.config import Score

Array = NDArray[np.float64]
RESAMPLES = 2000
OF_MATRIX: dict[Score, Callable[[Array], Array]] = {
    "accuracy": confusion.accuracy,
    "balanced_accuracy": confusion.balanced_accuracy,
}


@dataclass(frozen=True)
class Pooled:
    """The mean of a score over the draws, and what it is in each resample."""

    value: float
    resampled: Array
    """(resamples,); those of all `pooled` results of the same test images and seed are of the same groups and draws."""
    rows: int
    groups: int
    draws: int

    def interval(self, paired: str = "") -> Interval:
        """The value with its percentile interval."""
        found = intervals.percentile(self.value, self.resampled, self.rows, self.groups, self.rows)
        return replace(found, method=f"{paired}mean over {self.draws} seeds, which are resampled, too; {found.method}")


def pooled(several: Sequence[Predictions], seed: int) -> dict[Score, Pooled]:
    """Each score of several predictions of the same test images, one a draw of the labels.

    A resample draws as many test groups as there are, with replacement, the same ones for all, and as many draws.
    """
    first = several[0]
    several = [each.of(first.table["id"]) for each in several]

    def statistics(weights: Array) -> Mapping[tuple[Score, int], Array]:
        found: dict[tuple[Score, int], Array] = {}
        for at, said in enumerate(several):
            matrix = confusion.counts(said.labels, said.decisions, len(said.classes), weights)
            found |= {(name, at): score(matrix) for name, score in OF_MATRIX.items()}
            lost = confusion.lost(matrix, said.labels)
            found["balanced_accuracy", at] = np.where(lost, np.nan, found["balanced_accuracy", at])
        return found

    values = statistics(np.ones((1, len(first))))
    found = intervals.cluster_bootstrap(first.groups, statistics, resamples=RESAMPLES, seed=seed)
    drawn = intervals.resampled_groups(len(several), RESAMPLES, np.random.default_rng([seed, 1])) / len(several)
    groups, each = len(set(first.groups)), range(len(several))
    return {
        name: Pooled(
            float(np.mean([values[name, at][0] for at in each])),
            np.sum([drawn[:, at] * found[name, at] for at in each], axis=0),
            len(first),
            groups,
            len(several),
        )
        for name in OF_MATRIX
    }


def difference(one: Pooled, other: Pooled) -> Interval:
    """How far `one` lies above `other`, in the same resamples of groups and draws."""
    apart = replace(one, value=one.value - other.value, resampled=one.resampled - other.resampled)
    return apart.interval("paired by image and seed, ")
