"""APACC: slices of conventional smears, and a text file of boxes for each slice.

A slice `<smear>_<x>_<y>.png`, and a text file of the same name without ending: one line a cell, its class number and
the box's center, width and height as parts of the slice's (YOLO's form), as the authors' helper code reads them and its
168 example slices are named (repository apacc-smear-cell-db). How the download's folders are called is not known here,
so slices and text files may lie anywhere below the root. The part is taken from a folder called train or test on the
way to the slice, where there is one.

Each box becomes a PNG file; the smear is the group. The cell images that the data set has beside the slices, in folders
by part and class, come in by `folder`. Never tried on the original download.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cervix_tf.data import names, plain_file, walk
from cervix_tf.data.importers import Options
from cervix_tf.data.importing import crops, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

CLASSES = ("healthy", "rubbish", "unhealthy", "bothcells")
"""By the class numbers of the text files."""
LAYOUT = "slices <smear>_<x>_<y>.png and a .txt file of boxes of the same name for each"
_MOST_BYTES = 2**22
_SLICE = re.compile(r"(.+)_\d+_\d+")
_SPLITS = ("train", "test")


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a box, labeled with its class, grouped by smear; writes the crops.

    Raises `InputError` without the option `crops`, and with one line for each line of a text file that is no box.
    """
    found = ImportedRecords()
    paths, _ = walk.images(root)
    splits: dict[str, str] = {}
    for path in paths:  # of copies the first counts, as where the cells are cut
        splits.setdefault(names.fold(PurePosixPath(path).stem), _split(path))
    by_slice: dict[str, list[crops.Cell]] = {}
    problems: list[str] = []
    for stem, file in _text_files(root).items():
        if names.fold(stem) not in splits:
            found.leave_out(file.relative_to(root).as_posix(), "text file without a picture of its name")
        else:
            by_slice[stem] = _cells(file, stem, splits[names.fold(stem)], problems)
    tables.refuse(problems, str(root))
    if not by_slice:
        raise InputError(
            f"{root}: no .txt file beside a picture of the same name; looked for {LAYOUT}; import cell images in "
            "class folders with `import folder`"
        )
    crops.cut_out(root, options.crops, by_slice, found, _box, lambda path: path.stem)
    nameless = sum(not _SLICE.fullmatch(stem) for stem in by_slice)
    if nameless:
        found.notes.append(
            f"{nameless} slices are not named <smear>_<x>_<y>: each is its own group, which leaks if a smear has "
            "several"
        )
    without = sum(not record["split"] for record in found.records)
    if without:
        found.notes.append(
            f"{without} of {len(found.records)} cells are in no folder called train or test, so their published "
            "split is not known"
        )
    return found


def _box(cell: crops.Cell, width: int, height: int) -> crops.Box:
    return crops.around(cell.x * width, cell.y * height, cell.width * width, cell.height * height)


def _split(path: str) -> str:
    return next((part for part in map(names.fold, PurePosixPath(path).parts[:-1]) if part in _SPLITS), "")


def _text_files(root: Path) -> dict[str, Path]:
    """Name without ending -> text file, by name."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.txt")):
        if not path.is_file() or walk.strange(path.relative_to(root).parts):
            continue
        first = found.setdefault(path.stem, path)
        if first != path and not filecmp.cmp(first, path, shallow=False):
            raise InputError(f"{first} and {path}: two different text files with the same name; move one")
    return found


def _cells(path: Path, stem: str, split: str, problems: list[str]) -> list[crops.Cell]:
    try:
        with plain_file.opened(path, _MOST_BYTES) as file:
            lines = file.read(_MOST_BYTES).decode("ascii").splitlines()
    except UnicodeDecodeError:
        problems.append(f"{path}: holds more than plain numbers; download the file again")
        return []
    match = _SLICE.fullmatch(stem)
    group = f"smear {match[1]}" if match else f"slice {stem}"
    cells = []
    for line, text in enumerate(lines, 1):
        parts = text.split()
        wrong = _wrong(parts)
        if wrong:
            problems.append(f"{path}: line {line}: {wrong}; download the file again")
        elif parts:
            label = CLASSES[int(parts[0])]
            x, y, width, height = map(float, parts[1:])
            crop = f"{label}/{stem}_{line}.png"
            cells.append(crops.Cell(crop, f"line {line}", label, group, x, y, width, height, split))
    return cells


def _wrong(parts: Sequence[str]) -> str:
    """What makes these parts of a line no box; "" for a box and for an empty line."""
    if not parts:
        return ""
    if len(parts) != 5:
        return f"{' '.join(parts)!r} is not a class number and four numbers of a box"
    if parts[0] not in map(str, range(len(CLASSES))):
        return f"class number {parts[0]!r} is not one of 0 to {len(CLASSES) - 1}"
    for name, part in zip(("x", "y", "width", "height"), parts[1:], strict=True):
        if not 0 <= tables.number(part) <= 1 or (name in ("width", "height") and tables.number(part) == 0):
            return f"{name} {part!r} is no part of the slice, from 0 to 1"
    return ""
