"""Predictions by age, site, device or view: does the model serve everyone equally well?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from cervix_tf.data import views
from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, operating_points
from cervix_tf.metrics.predictions import Predictions

By = Literal["age", "site", "device", "view"]
AGES = (25.0, 50.0)
"""Bins under 25, 25-49, 50 and over, as in Pal et al. 2021, Table 7."""
UNKNOWN = "unknown"


def strata(predictions: Predictions, by: By, ages: Sequence[float] = AGES) -> dict[str, Predictions]:
    """The rows of each stratum by name, in order; rows without the value are under "unknown".

    Ages fall into bins that begin at `ages`, in years; views are put together by kind
    (acetic_1 to acetic_5 are acetic).

    Raises `InputError` when no row has the value.
    """
    table = predictions.table
    if by == "age":
        edges = np.asarray(ages, dtype=np.float64)
        names = [f"<{edges[0]:g}", *(f"{a:g}-{b - 1:g}" for a, b in itertools.pairwise(edges))]
        order = [*names, f"{edges[-1]:g}+"]
        known = table["age"].notna().to_numpy()
        of_row = np.where(known, np.array(order, dtype=object)[np.digitize(table["age"].fillna(0), edges)], UNKNOWN)
    else:
        kinds = [views.kind(value) if by == "view" else value for value in table[by]]
        of_row = np.array([kind or UNKNOWN for kind in kinds], dtype=object)
        order = sorted(set(of_row) - {UNKNOWN})
    if (of_row == UNKNOWN).all():
        raise InputError(f"--by {by}: none of the {len(table)} rows has its {by}; fill that column of the manifest")
    return {name: predictions.where(of_row == name) for name in [*order, UNKNOWN] if (of_row == name).any()}


def stratified(
    predictions: Predictions,
    by: By,
    *,
    positive: Sequence[str] = (),
    point: OperatingPoint | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, dict[str, Any]]:
    """`classification.summary` of each stratum that has labeled rows, by name, without the curves.

    With `point` also `operating_points.at` of it, as `operating_point`.
    """
    found = {}
    for name, part in strata(predictions, by).items():
        if (part.labels >= 0).any():
            whole = classification.summary(part, positive=positive, seed=seed, resamples=resamples)
            found[name] = {key: whole[key] for key in ("n", "groups", "metrics", "binary", "per_class", "confusion")}
            if point is not None:
                found[name]["operating_point"] = operating_points.at(
                    part, point, positive=positive, seed=seed, resamples=resamples
                )
    return found
