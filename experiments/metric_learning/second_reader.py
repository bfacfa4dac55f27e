"""Another system's decisions on the hold-out split, read from a table of the user's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from cervix_tf.data.importing import tables
from cervix_tf.errors import InputError
from cervix_tf.metrics.predictions import Predictions


def decisions(path: Path, classes: Sequence[str], ids: Collection[str]) -> dict[str, str]:
    """Id -> decision of a CSV with these columns, for those of the hold-out split's `ids` that it names.

    An id is the woman, or the image's path where each image has a decision of its own. Rows of the table with
    other ids are passed over.

    Raises `InputError` that names the line when a decision is none of `classes` or an id comes twice, and when no
    id is one of `ids`.
    """
    found: dict[str, str] = {}
    problems = []
    for row in tables.read(path, ["id", "decision"]):
        if row["decision"] not in classes:
            problems.append(
                f"{path}: line {row.line}: decision {row['decision']!r}: is not among the classes "
                f"{', '.join(classes)}; write one of them"
            )
        elif row["id"] in found:
            problems.append(f"{path}: line {row.line}: id {row['id']!r}: occurs twice; keep one of the lines")
        else:
            found[row["id"]] = row["decision"]
    if problems:
        raise InputError("\n".join(problems[:20]))
    known = set(ids)
    if not known & found.keys():
        raise InputError(
            f"{path}: none of its {len(found)} ids is in the hold-out split, whose ids are like {next(iter(ids))!r}"
        )
    return {each: decision for each, decision in found.items() if each in known}


def read(path: Path, ours: Predictions) -> Predictions:
    """The decisions in a CSV as predictions of those rows of `ours` that it names; raises as `decisions` does."""
    found = decisions(path, ours.classes, list(ours.table["id"]))
    said = ours.where(ours.table["id"].isin(found)).table.copy()
    if len(said) < len(ours):
        print(f"note: {path.name} judges {len(said)} of the {len(ours)} hold-out rows")
    at = [ours.classes.index(found[each]) for each in said["id"]]
    said[[f"p_{name}" for name in ours.classes]] = np.eye(len(ours.classes))[at]
    return Predictions(said, ours.classes)


def paired(ours: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both readers' predictions of the rows that both judged, in the order of `ours`."""
    both = ours.where(ours.table["id"].isin(second.table["id"]))
    return both, second.of(both.table["id"])
