"""From images to women: how many there are (Table 1), and one prediction of each (Tables 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cervix_tf.data.groups import groups_of
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions

_NAMED = 5


def check(tested: Manifest) -> None:
    """Raise `InputError` when a woman of the hold-out split has images of two classes: she has one prediction."""
    labels = tested.rows[tested.rows["group"] != ""].groupby("group")["label"].agg(lambda some: sorted(set(some)))
    both = labels[labels.map(len) > 1]
    if len(both):
        named = "; ".join(f"{woman}: {' and '.join(of_her)}" for woman, of_her in both.head(_NAMED).items())
        raise InputError(
            f"the hold-out split has {len(both)} women with images of two classes ({named}), but Tables 7 and 8 count "
            "each woman once: correct the labels, leave the images of one class out, or give each of her visits a "
            "name of its own in the column woman"
        )


def count(parts: Mapping[str, Manifest], label: str) -> dict[str, tuple[int, int]]:
    """Split -> women (groups) and images of a class."""
    found = {}
    for name, part in parts.items():
        rows = part.rows[part.rows["label"] == label]
        found[name] = groups_of(rows, "path").nunique(), len(rows)
    return found


def one_each(of_images: Predictions, tie: str) -> tuple[Predictions, NDArray[np.bool_]]:
    """One prediction per woman, her images' mean shares, and which of them, (women,), are tied between two classes.

    A tied woman is of class `tie` where that is one of the two: its share is raised by the
    smallest step of a float, which decides and changes no other number.
    """
    of_women = predictions.aggregate(of_images, "group")
    shares = of_women.probabilities
    top = np.isclose(shares, shares.max(axis=1, keepdims=True), rtol=0, atol=1e-6)  # shares are sums of float32
    tied = top.sum(axis=1) > 1
    at = of_women.classes.index(tie)
    table = of_women.table.copy()
    of_tie = tied & top[:, at]
    table.loc[of_tie, f"p_{tie}"] = np.nextafter(shares[of_tie].max(axis=1), 1)
    return Predictions(table, of_women.classes), tied
