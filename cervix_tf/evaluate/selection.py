"""The rows of a manifest that a model is tested on and those that thresholds are chosen on, checked beforehand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cervix_tf.data import images, inputs, readable
from cervix_tf.data import manifest as manifests
from cervix_tf.data.headers import UnreadableImage
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.export.runtime import Model

DEFAULT = "test"
EVERYTHING = "all"
_NAMED = 3


@dataclass(frozen=True)
class Part:
    """The rows of one split and the model's inputs among them."""

    rows: Manifest
    inputs: Inputs
    notes: tuple[str, ...]
    """What a reader should know about the inputs."""
    left_out: tuple[UnreadableImage, ...]
    """Damaged images of the split that are skipped."""


@dataclass(frozen=True)
class Selection:
    """What one evaluation is of; every image of it can be read."""

    split: str
    """Of the tested rows; "all" = every row."""
    tested: Part
    validation: Part | None
    """None = the manifest has no labeled rows for it."""
    remarks: tuple[str, ...]
    """How the rows were found, where that is not as asked."""

    def summary(self) -> dict[str, Any]:
        """The split, the remarks, and how many damaged images were left out, with the first names, for metrics.json."""
        root, skipped = self.tested.rows.root, self.tested.left_out
        named = [Path(each.name).relative_to(root).as_posix() for each in skipped[:_NAMED]]
        return {
            "split": self.split,
            "remarks": list(self.remarks),
            "left_out": {"images": len(skipped), "first": named},
        }


def select(
    model: Model,
    listed: Manifest,
    name: str,
    *,
    split: str = DEFAULT,
    view: str = "",
    validation_split: str = "validation",
    damaged: Literal["fail", "skip"] = "fail",
    sets: bool = False,
) -> Selection:
    """What `evaluation.evaluate` of the same arguments predicts; every image of it is read.

    A manifest in which no row has a split is tested as a whole where the default split is asked for. `sets` says
    whether validation rows are needed for a model without positive classes too.

    Raises `InputError` when there is no such row, a label is none of the model's classes, or an image is missing or,
    unless it is to be skipped, damaged.
    """
    remarks = []
    if split == DEFAULT and (listed.rows["split"] == "").all():
        split = EVERYTHING
        remarks.append(f"no row has a split: all {len(listed)} are tested")
    rows = _rows(listed, split, name)
    manifests.check_labels(rows, model.contract.classes, name)
    tested, validation = _part(model, rows, name, view, damaged), None
    if (model.contract.positive or sets) and split not in (EVERYTHING, validation_split):
        others = listed.part(validation_split)
        if (others.rows["label"] != "").any():
            validation = _part(model, others, name, view, damaged)
    return Selection(split, tested, validation, tuple(remarks))


def _rows(listed: Manifest, split: str, name: str) -> Manifest:
    if split == EVERYTHING:
        return listed
    part = listed.part(split)
    if not len(part):
        there = Counter(value or "(none)" for value in listed.rows["split"])
        counts = ", ".join(f"{value} ({amount(count, 'row')})" for value, count in there.items())
        raise InputError(f"{name}: no row with split {split!r}; there is {counts}: choose with --split, or --split all")
    return part


def _part(model: Model, rows: Manifest, name: str, view: str, damaged: Literal["fail", "skip"]) -> Part:
    left_out: list[UnreadableImage] = []
    if damaged == "skip":
        rows, left_out = readable.only(rows, damaged)
    chosen, notes = _inputs(model, rows, name, view)
    if damaged == "fail":  # before the model works for hours
        images.check_files((file for files in chosen.files for file in files), skippable=True)
    return Part(rows, chosen, tuple(notes), tuple(left_out))


def _inputs(model: Model, rows: Manifest, name: str, view: str) -> tuple[Inputs, list[str]]:
    """The model's inputs among the rows and what a reader should know about them."""
    contract = model.contract
    if contract.views:
        if (rows.rows["view"] == "").all():
            raise InputError(
                f"{name}: no row names its view, but {model.path} ({contract.task}) takes "
                f"cases of {', '.join(contract.views)}; fill the columns case and view, "
                "or use a model of single images"
            )
        chosen, left_out = inputs.from_cases(rows, contract.classes, contract.views, missing=contract.missing)
        notes = [f"{amount(count, 'case')} left out: {reason}" for reason, count in left_out.items()]
        if alone := inputs.without_case(rows, contract.views):
            notes.append(f"{amount(alone, 'image')} left out: no case is named")
    else:
        chosen = inputs.from_images(rows, contract.classes, view)
        unlabeled = len(rows) - len(chosen)
        notes = [f"{amount(unlabeled, 'row')} left out: unlabeled or another view"] if unlabeled else []
    missing = [file for files in chosen.files for file in files if file != images.MISSING and not Path(file).is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}: no such file{more}; is --root {rows.root} the folder of the images?")
    return chosen, notes
