"""Another system's decisions on the hold-out split, read from a table of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cervix_tf.data.importing import tables
from cervix_tf.errors import InputError
from cervix_tf.metrics.predictions import Predictions


def read(path: Path, ours: Predictions) -> Predictions:
    """The decisions in a CSV with the columns id and decision, as predictions of those rows of `ours` that it names.

    An id is what `ours` calls a row: the woman, or the image's path where each image has a
    decision of its own. Rows of the table that `ours` does not have are passed over.

    Raises `InputError` that names the line when a decision is no class or an id comes twice, and
    when no id is one of `ours`.
    """
    table = tables.read(path, ["id", "decision"])
    found: dict[str, int] = {}
    problems = []
    for row in table:
        if row["decision"] not in ours.classes:
            problems.append(
                f"{path}: line {row.line}: decision {row['decision']!r}: is not among the classes "
                f"{', '.join(ours.classes)}; write one of them"
            )
        elif row["id"] in found:
            problems.append(f"{path}: line {row.line}: id {row['id']!r}: occurs twice; keep one of the lines")
        else:
            found[row["id"]] = ours.classes.index(row["decision"])
    if problems:
        raise InputError("\n".join(problems[:20]))
    there = ours.where(ours.table["id"].isin(found))
    if not len(there):
        raise InputError(
            f"{path}: none of its {len(found)} ids is in the hold-out split, whose ids are like {ours.table['id'][0]!r}"
        )
    if len(there) < len(ours):
        print(f"note: {path.name} judges {len(there)} of the {len(ours)} hold-out rows")
    said = there.table.copy()
    said[[f"p_{name}" for name in ours.classes]] = np.eye(len(ours.classes))[[found[name] for name in said["id"]]]
    return Predictions(said, ours.classes)


def paired(ours: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both readers' predictions of the rows that both judged, in the order of `ours`."""
    both = ours.where(ours.table["id"].isin(second.table["id"]))
    return both, second.of(both.table["id"])
