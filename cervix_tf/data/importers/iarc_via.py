"""IARC VIA image bank: cases photographed before and after acetic acid, some after Lugol's iodine.

Label, from the column `VIA`: Negative -> negative, Positive -> positive, Suspicious of
cancer -> suspicious. Views: `before_1`, ..., `acetic_1`, ..., `iodine`, `iodine_2`, ...;
images of another or no type `other_1`, .... A case is one woman, so it is the group too.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import iarc
from cervix_tf.data.importing.imported_records import ImportedRecords

LAYOUT = "folders Case NNN with images, a table of cases with a column VIA and a table of images"


def read(root: Path, options: Options) -> ImportedRecords:
    """One row an image; notes name the cases whose VIA result is none of the three."""
    found = ImportedRecords()
    for case in iarc.cases(root, found, meta_columns=["VIA"], image_columns=["Type"], case_column="Case Number"):
        result = case.meta["VIA"] if case.meta else ""
        label = next(
            (name for name in ("negative", "positive", "suspicious") if result.casefold().startswith(name)),
            "",
        )
        if not label:
            found.notes.append(f"{case.name}: unlabeled, VIA is {result!r}")
        used: Counter[str] = Counter()
        for path, kind in case.images:
            view = _view(kind)
            used[view] += 1
            place = view if view == "iodine" and used[view] == 1 else f"{view}_{used[view]}"
            found.add(path, label=label, group=case.name, case=case.name, view=place)
    return found


def _view(kind: str) -> str:
    text = kind.casefold()
    if "lugol" in text:
        return "iodine"
    if text.startswith("before"):
        return "before"
    return "acetic" if text.startswith("after") and "acetic acid" in text else "other"
