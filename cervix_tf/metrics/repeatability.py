"""Whether a model says the same of several images of one case: what a second photograph would change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix_tf.errors import InputError
from cervix_tf.metrics import confusion, intervals
from cervix_tf.metrics.predictions import Predictions, check_one_group

Array = NDArray[np.float64]


def cases_of(predictions: Predictions) -> tuple[pd.Series, pd.Series]:
    """The case of each row (its group, where cases are not named), and whether other rows have the same one.

    Raises `InputError` when no case has two images, or one has images of several groups.
    """
    named = bool((predictions.table["case"] != "").any())
    case = predictions.table["case" if named else "group"]
    several = (case != "") & case.duplicated(keep=False)
    if not several.any():
        raise InputError(
            "--repeatability: no case has two images; fill the column case (or group) of the manifest with what the "
            "images of one visit share"
        )
    for name, groups in predictions.table["group"][several].groupby(case[several]) if named else ():
        check_one_group(str(name), groups)
    return case, several


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
    images are not all decided alike, whose n are cases. Intervals by resampling groups, and exact ones of that share
    where each case is a group of its own.

    Source: Fleiss, Psychological Bulletin 76, 1971; unequal numbers of images: the coincidences of Krippendorff 2004.

    Raises `InputError` when no case has two images, or one has images of several groups.
    """
    case, several = cases_of(predictions)
    of_case, _ = pd.factorize(case[several])
    cases, images = int(of_case.max()) + 1, len(of_case)
    votes = np.zeros((cases, len(names)))  # images of each case that are decided for each class
    np.add.at(votes, (of_case, decisions[several]), 1)
    size = votes.sum(axis=1)
    unlike = size - (votes * (votes - 1)).sum(axis=1) / (size - 1)  # pairs of an image and another, the mean per image
    both_ways = unlike > 0
    groups = predictions.groups[several][np.unique(of_case, return_index=True)[1]]

    def statistics(weights: Array) -> dict[str, Array]:
        total, shares = weights @ size, weights @ votes
        chance = total**2 - (shares**2).sum(axis=1)
        return {
            "kappa": 1 - confusion.ratio(weights @ unlike * total, chance),
            "share_of_cases_decided_both_ways": weights @ both_ways / weights.sum(axis=1),
        }

    values = statistics(np.ones((1, cases)))
    draws = intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed)
    units = len(set(groups))
    found = {}
    for name, value in values.items():
        if np.isnan(value[0]):
            found[name] = intervals.undefined("all decisions are one class", images)
        elif name == "kappa":
            found[name] = intervals.percentile(float(value[0]), draws[name], images, units, images)
        else:
            found[name] = intervals.share(both_ways, groups, draws[name])
    return {
        "cases": cases,
        "images": images,
        "of": " or ".join(names),
        "metrics": {name: asdict(each) for name, each in found.items()},
    }
