"""A threshold that is chosen once, on the validation rows of one data set, and tested there and on others."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from cervix_tf.contract import Contract
from cervix_tf.data import seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.seen import Seen
from cervix_tf.decision import OperatingPoint
from cervix_tf.metrics import operating_points
from cervix_tf.metrics.operating_points import Rule
from cervix_tf.metrics.predictions import Predictions

_OWN = "this data set's own validation rows"
_MODELS = "the model's own validation rows"


@dataclass(frozen=True)
class Validation:
    """What a model says of the rows that thresholds are chosen on."""

    of: Predictions
    rows: Manifest | None = None
    """The rows; None = the model's own, whose predictions its run kept."""


@dataclass(frozen=True)
class Chosen:
    """An operating point and the rows it was chosen on."""

    point: OperatingPoint
    on: str = _MODELS
    """These rows in words, as other data sets are told: `the validation rows of north.csv`."""
    rows: Manifest | None = None
    """The rows themselves; None = the model's own, of which its own record says what they were."""

    @functools.cached_property
    def record(self) -> Seen | None:
        """Which files and groups these rows are."""
        if self.rows is None:
            return None
        return seen.of(Manifest(self.rows.rows.assign(split="validation"), self.rows.root))


def wanted(operating_point: str | Chosen, contract: Contract) -> Rule | Chosen | None:
    """What the results are to be of: a rule to choose by, else what was chosen before, for the contract if not here."""
    if isinstance(operating_point, Chosen):
        return operating_point
    if operating_point:
        return operating_points.rule(operating_point)
    return Chosen(contract.operating_point) if contract.operating_point else None


def measured(
    tested: Predictions, validation: Validation | None, asked: Rule | Chosen | None, name: str, **common: Any
) -> tuple[dict[str, Any], Chosen | None]:
    """How good the operating point is on `tested`, with `chosen_on`, and what a rule chose, for other data sets.

    `name` is that of this data set, `common` are the arguments of `operating_points.at`.
    """
    if asked is None:
        return operating_points.at(tested, None, **common), None
    if isinstance(asked, Chosen):
        return {**operating_points.at(tested, asked.point, **common), "chosen_on": asked.on}, None
    found = operating_points.summary(tested, validation.of if validation else None, asked, **common)
    point = OperatingPoint(found["rule"], found["threshold"])
    if validation is None or validation.rows is None:
        return {**found, "chosen_on": _MODELS}, Chosen(point)
    return {**found, "chosen_on": _OWN}, Chosen(point, f"the validation rows of {name}", validation.rows)


def optimism(asked: Rule | Chosen | None, tested: Manifest) -> dict[str, list[str]]:
    """Warnings and remarks on what makes thresholds look better here than elsewhere.

    Tested groups that only have the name of one that a threshold was chosen on are remarked: hospitals number their
    patients alike.
    """
    warnings, remarks = [], []
    if isinstance(asked, Chosen) and asked.record is not None:
        found = seen.overlap(asked.record, tested)
        if found.chosen_files:
            warnings.append(
                f"the operating point was chosen on {found.chosen_files} of these {found.files} files, so its figures "
                "here are too good; leave those rows out"
            )
        elif found.chosen_groups:
            remarks.append(
                f"{found.chosen_groups} of these {found.groups} groups have the names of groups that the operating "
                "point was chosen on; if they are the same women, its figures here are too good"
            )
    return {"warnings": warnings, "remarks": remarks}
