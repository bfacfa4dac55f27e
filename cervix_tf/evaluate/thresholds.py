"""A threshold that is chosen once, on the validation rows of one data set, and tested there and on others."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cervix_tf.contract import Contract
from cervix_tf.data import seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.seen import Seen
from cervix_tf.decision import OperatingPoint
from cervix_tf.metrics import operating_points
from cervix_tf.metrics.operating_points import Rule
from cervix_tf.metrics.predictions import Predictions

if TYPE_CHECKING:
    from cervix_tf.export.runtime import Model

Kind = Literal["warnings", "remarks"]
_OWN = "this data set's own validation rows"
_MODELS = "the model's own validation rows"
_POINT = "operating point"
_SETS = "prediction sets"
_CALIBRATION = "calibration"
_FIXED = "thresholds for a fixed specificity"
_ELSEWHERE = {
    _POINT: "the threshold may reach less than asked",
    _SETS: "the sets may miss more than asked",
    _CALIBRATION: "probabilities may be less well calibrated",
    _FIXED: "the specificity may be lower than asked",
}
"""What may come of it on other data, where results on the rows that it was chosen on look better than they are."""


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
    return {**found, "chosen_on": _OWN}, Chosen(point, _of(name), validation.rows)


def optimism(
    asked: Rule | Chosen | None,
    validation: Validation | None,
    tested: Manifest,
    model: Model,
    name: str,
    sets: bool = False,
) -> dict[str, list[str]]:
    """Warnings and remarks on what makes thresholds and calibration look better than they are on new patients.

    Warned of is what was chosen on rows that the model was trained on, and a threshold that is tested on the rows it
    was chosen on; remarked, what was chosen on rows that the model's epoch was chosen on too. `sets` says whether there
    are prediction sets, which come from the validation rows.
    """
    chosen: dict[str, list[str]] = {}  # rows in words -> what was chosen on them
    rows: dict[str, Manifest | None] = {}

    def add(what: str, on: str, of: Manifest | None) -> None:
        chosen.setdefault(on, []).append(what)
        rows[on] = of

    if isinstance(asked, Chosen):
        add(_POINT, asked.on, asked.rows)
    if validation is not None:
        on = _MODELS if validation.rows is None else _of(name)
        for what, holds in ((_POINT, isinstance(asked, Rule)), (_SETS, sets)):
            if holds:
                add(what, on, validation.rows)
        if on not in chosen and validation.rows is not None:
            add(_FIXED, on, validation.rows)
    if model.contract.calibration:
        add(_CALIBRATION, _MODELS, None)
    found: dict[str, list[str]] = {"warnings": [], "remarks": []}
    for on, each in chosen.items():
        kind, told = _of_rows(each, on, rows[on], model.seen)
        if told:
            found[kind].append(told)
    if isinstance(asked, Chosen):
        kind, told = _tested_again(asked, tested)
        if told:
            found[kind].append(told)
    return found


def _of_rows(chosen: list[str], on: str, rows: Manifest | None, known: Seen | None) -> tuple[Kind, str]:
    """What to tell of what was chosen on `rows`; "" for nothing."""
    what = " and ".join(chosen)
    before = seen.overlap(known, rows) if known and rows else None
    misleading = (
        "on such rows, results look better than they are, so elsewhere "
        f"{' and '.join(_ELSEWHERE[each] for each in chosen)}"
    )
    if before and before.trained_files:
        return "warnings", (
            f"{what}: chosen on {on}, where the model was trained on {before.trained_files} of {before.files} "
            f"files; {misleading}; choose on rows that the model has not seen"
        )
    if before and before.trained_groups:  # hospitals number their patients alike
        return "remarks", (
            f"{what}: chosen on {on}, where {before.trained_groups} of {before.groups} groups have names of groups "
            f"that the model was trained on; if they are the same women, {misleading}"
        )
    if rows is None or (before and before.chosen_files == before.files):
        which = "which"
    elif before and before.chosen_files and chosen != [_FIXED]:
        which = f"of which {before.chosen_files} of {before.files} files"
    else:
        return "remarks", ""
    return (
        "remarks",
        f"{what}: chosen on {on}, {which} also chose the model itself (its epoch, for example); {misleading}",
    )


def _tested_again(point: Chosen, tested: Manifest) -> tuple[Kind, str]:
    """What to tell of tested rows that the operating point was chosen on; "" for nothing."""
    same = seen.overlap(point.record, tested) if point.record else None
    if same and same.chosen_files:
        return "warnings", (
            f"operating point: chosen on {same.chosen_files} of these {same.files} files, so its figures here are too "
            "good; leave those rows out"
        )
    if same and same.chosen_groups:  # hospitals number their patients alike
        return "remarks", (
            f"operating point: chosen on groups that have the names of {same.chosen_groups} of these {same.groups}; if "
            "they are the same women, its figures here are too good"
        )
    return "remarks", ""


def _of(name: str) -> str:
    return f"the validation rows of {name}"
