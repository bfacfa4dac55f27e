"""How many images, cases and groups of each class stand in each split of a run's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cervix_tf.data import groups

if TYPE_CHECKING:
    import pandas as pd

    from cervix_tf.data.manifest import Manifest

_ORDER = ("train", "validation", "test")
UNLABELED, UNASSIGNED, TOTAL = "unlabeled", "no split", "all"


@dataclass(frozen=True)
class Count:
    """What one cell of the table counts."""

    images: int
    cases: int


@dataclass(frozen=True)
class Counts:
    """A table of counts, and whether the splits are disjoint."""

    splits: list[str]
    """Columns, the last for all together."""
    rows: list[tuple[str, list[Count]]]
    """Class and its counts a split, the last row for all together."""
    groups: int
    shared_groups: list[str]
    """Groups (women, visits, slides), or cases without a group, that stand in more than one split: leaks."""


def counted(manifest: Manifest, classes: Sequence[str]) -> Counts:
    """The counts of a manifest; `classes` come first, other labels after them, then unlabeled images."""
    rows = manifest.rows
    found = [split for split in rows["split"].unique() if split]
    splits = [split for split in _ORDER if split in found] + sorted(set(found) - set(_ORDER))
    splits += [""] if (rows["split"] == "").any() else []
    there = set(rows["label"])
    labels = [name for name in classes if name in there] + sorted(there - {*classes, ""})
    labels += [""] if "" in there else []

    def row(chosen: pd.DataFrame) -> list[Count]:
        return [*(_count(chosen[chosen["split"] == split]) for split in splits), _count(chosen)]

    table = [(label or UNLABELED, row(rows[rows["label"] == label])) for label in labels]
    return Counts(
        [*(split or UNASSIGNED for split in splits), TOTAL],
        [*table, (TOTAL, row(rows))],
        len(set(groups.groups_of(rows)) - {""}),
        [group for group, _ in groups.in_several_splits(rows)],
    )


def _count(rows: pd.DataFrame) -> Count:
    return Count(len(rows), rows.loc[rows["case"] != "", "case"].nunique())
