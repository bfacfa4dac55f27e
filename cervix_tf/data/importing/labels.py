"""The option `labels` against the labels that a source has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from cervix_tf.data.importing import tables
from cervix_tf.errors import InputError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Lower-case names that people give to splits, and ours."""


def check(told: Mapping[str, str], there: Collection[str], source: Path) -> None:
    """Raise `InputError` where `told` renames a label that is not `there`: a slip would leave the label as it was."""
    strange = [label for label in told if label not in there]
    if strange:
        known = tables.listed(sorted(filter(None, there)), "labels")
        raise InputError(
            f"--labels {', '.join(strange)}: no such label in {source}; "
            + (f"there are {known}" if known else "there are no labels")
        )
