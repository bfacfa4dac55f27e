"""How often a model's quality gate alarms, and what the model is worth with and without those inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import classification, intervals
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.quality import PROBLEMS, Problem


def summary(
    found: Predictions, problems: Sequence[Sequence[Problem]], *, seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """How many inputs the gate alarms at, by what is wrong, and the accuracy of all, of the rest and of those.

    Of inputs, also where their predictions are aggregated later.
    """
    alarm = np.array([bool(each) for each in problems])
    accuracy = {}
    for name, keep in (("all", np.ones_like(alarm)), ("without alarm", ~alarm), ("with alarm", alarm)):
        part = found.where(keep)
        measured = (part.labels >= 0).any()
        accuracy[name] = (
            classification.summary(part, seed=seed, resamples=resamples)["metrics"]["accuracy"]
            if measured
            else asdict(intervals.undefined("no labeled input"))
        )
    by = Counter(name for each in problems for name in {problem.name for problem in each})
    return {
        "alarms": asdict(_share(alarm, found.groups, seed, resamples)),
        "by": {words: by[name] for name, words in PROBLEMS.items() if by[name]},
        "accuracy": accuracy,
    }


def _share(alarm: NDArray[np.bool_], groups: NDArray[np.object_], seed: int, resamples: int) -> Interval:
    """The share of alarms; images of one group (woman) are at fault together."""
    draws = intervals.cluster_bootstrap(
        groups, lambda weights: {"alarms": weights @ alarm / weights.sum(1)}, resamples=resamples, seed=seed
    )
    return intervals.share(alarm, groups, draws["alarms"], intervals.wilson)
