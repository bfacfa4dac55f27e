"""RIVA as in the challenge of ISBI 2026 (Kaggle, track A): the same fields, one box with one class a cell, and a split.

`train.csv` and `val.csv` (image_filename, x, y, width, height, class_name), at most two folders down, and the fields
anywhere below the root, as public solutions read them (`annotations/annotations`, `images/images/train`). x and y are
the center of the box in pixels of the field. The test fields have no boxes. Track B's boxes name no class and are
refused.

Each box becomes a PNG file. The name of a field begins with its smear, which is the group. Never tried on the original
download.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import crops, riva, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

CLASSES = riva.CLASSES
LAYOUT = "fields <class>_<smear>_<field>.png and train.csv or val.csv with boxes"
_SPLITS = {"train": "train", "val": "validation"}
"""Table -> part of the published split."""
_NUMBERS = ("x", "y", "width", "height")
_MOST_PIXELS = 100_000


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a box, labeled with its class, grouped by smear, split as published; writes the crops.

    Raises `InputError` without the option `crops`, and with one line for each box whose class or numbers are wrong.
    """
    found = ImportedRecords()
    by_field: dict[str, list[crops.Cell]] = defaultdict(list)
    paths = {name: tables.find(root, [f"{name}.csv"], depth=2) for name in _SPLITS}
    for name, path in paths.items():
        if path is None:
            found.notes.append(f"no {name}.csv here, so this copy has no {_SPLITS[name]} part")
            continue
        for field, here in _cells(path, _SPLITS[name]).items():
            if field in by_field:
                raise InputError(f"{path}: field {field} has boxes in train.csv too; keep them in one table")
            by_field[field] = here
    if not by_field:
        raise InputError(
            f"{root}: no boxes in a train.csv or val.csv here or up to two folders down; looked for {LAYOUT}"
        )
    sizes = crops.cut_out(root, options.crops, by_field, found, _box)
    found.notes += riva.notes(sizes)
    return found


def _box(cell: crops.Cell, width: int, height: int) -> crops.Box:
    return crops.around(cell.x, cell.y, cell.width, cell.height)


def _cells(path: Path, split: str) -> dict[str, list[crops.Cell]]:
    """The cells of one table by file name of the field."""
    by_field: dict[str, list[crops.Cell]] = defaultdict(list)
    problems: list[str] = []
    for row in tables.read(path, ["image_filename", *_NUMBERS, "class_name"]):
        label = riva.LABELS.get(row["class_name"].upper(), "")
        numbers = {name: tables.number(row[name]) for name in _NUMBERS}
        wrong = [name for name, value in numbers.items() if not abs(value) <= _MOST_PIXELS]
        wrong += [name for name in ("width", "height") if numbers[name] < 1]
        if row["class_name"].upper() == "CELL":
            raise InputError(
                f"{row.where}: class_name 'CELL': these are the boxes of track B, which name no class; "
                "download those of track A"
            )
        if not label:
            problems.append(
                f"{row.where}: class_name {row['class_name']!r} is not one of {', '.join(riva.LABELS)}; fix it"
            )
        problems += [f"{row.where}: {name} {row[name]!r} is no number of pixels; fix it" for name in wrong]
        if not label or wrong:
            continue
        field = row["image_filename"]
        stem, at = PurePosixPath(field).stem, len(by_field[field]) + 1
        by_field[field].append(
            crops.Cell(f"{label}/{stem}_{at}.png", f"box {at}", label, riva.group(stem), **numbers, split=split)
        )
    tables.refuse(problems, str(path))
    return by_field
