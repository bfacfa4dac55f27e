"""Whether a model says the same of several images of one case: what a second photograph would change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.errors import InputError
from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]


def summary(
    predictions: Predictions,
    decisions: NDArray[np.int64],
    names: tuple[str, ...],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """How far the images of one case (a group, where cases are not named) are decided alike.

    `decisions` are indices into `names`, (rows,). {cases, images, of, metrics}: kappa of pairs of images of one case,
    each image weighing the same (Fleiss' kappa where all cases have as many images), and the share of cases whose
    images are not all decided alike; intervals by resampling groups.

    Source: Fleiss, Psychological Bulletin 76, 1971; unequal numbers of images: the coincidences of Krippendorff 2004.

    Raises `InputError` when no case has two images.
    """
    named = (predictions.table["case"] != "").any()
    case = (predictions.table["case"] if named else predictions.table["group"]).to_numpy(object)
    members = [np.flatnonzero(case == name) for name in dict.fromkeys(case) if name]
    members = [rows for rows in members if len(rows) > 1]
    if not members:
        raise InputError(
            "--repeatability: no case has two images; fill the column case (or group) of the manifest with what the "
            "images of one visit share"
        )
    pairs = [(i, j, 1 / (len(rows) - 1)) for rows in members for i in rows for j in rows if i != j]
    one, two = (np.array([pair[at] for pair in pairs]) for at in (0, 1))
    shared = np.array([pair[2] for pair in pairs])
    # One pair stands for its case.
    starts = np.cumsum([0, *(len(rows) * (len(rows) - 1) for rows in members[:-1])])
    first, both_ways = np.zeros(len(pairs)), np.zeros(len(pairs))
    first[starts] = 1
    both_ways[starts] = [len(set(decisions[rows])) > 1 for rows in members]
    groups = predictions.groups[one]

    def statistics(weights: Array) -> dict[str, Array]:
        matrix = confusion.counts(decisions[one], decisions[two], len(names), weights * shared)
        return {
            "kappa": confusion.kappa(matrix),
            "share_of_cases_decided_both_ways": confusion.ratio(weights @ both_ways, weights @ first),
        }

    values = statistics(np.ones((1, len(pairs))))
    draws = intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed)
    units, images = len(set(groups)), sum(map(len, members))
    found = {}
    for name, value in values.items():
        if np.isnan(value[0]):
            found[name] = intervals.undefined("all decisions are one class", images)
        elif name != "kappa" and value[0] in (0.0, 1.0):  # as if it were known for certain
            found[name] = intervals.clopper_pearson(round(value[0] * units), units)
        else:
            found[name] = intervals.percentile(float(value[0]), draws[name], images, units, images)
    return {
        "cases": len(members),
        "images": images,
        "of": " or ".join(names),
        "metrics": {name: asdict(each) for name, each in found.items()},
    }
