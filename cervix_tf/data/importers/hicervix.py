"""HiCervix: liquid-based cytology, ready cell images in a tree of classes, split as published.

`train.csv`, `val.csv` and `test.csv` (image_name, class_name, class_id, level_1, level_2, level_3), and the images in
folders `train`, `val` and `test`, as the authors' README says (github.com/Scu-sen/HiCervix). `class_name` is the finest
of the three levels; the option `level` takes a coarser one, and a cell that has none there keeps its finest.

The cells are of 4496 slides, but no name says which, so every image is its own group: see the data sheet. Never tried
on the original download.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cervix_tf.data import names
from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

_TREE = {
    "negative": ("Normal", "ECC", "RPC", "MPC", "PG", "Atrophy", "EMC", "HCG"),
    "ASC": ("ASC-US", "LSIL", "ASC-H", "HSIL", "SCC"),
    "AGC": ("AGC-NOS", "AGC-FN", "ADC"),
    "microbe": ("FUNGI", "ACTINO", "TRI", "HSV", "CC"),
}
"""Level 1 -> its classes of level 2."""
_LEAVES = {"AGC-NOS": ("AGC-ECC-NOS", "AGC-EMC-NOS"), "ADC": ("ADC-ECC", "ADC-EMC")}
"""Level 2 -> its classes of level 3, where it has any."""
CLASSES = (
    *_TREE,
    *(name for second in _TREE.values() for name in second),
    *(c for some in _LEAVES.values() for c in some),
)
"""All 29 of the three levels, level by level."""
LAYOUT = "train.csv, val.csv or test.csv with images in the folder of the same name"
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Table and folder -> part of the published split."""
_LEVELS = ("level_1", "level_2", "level_3")


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a cell image, labeled at the level asked for, grouped by itself, split as published.

    Raises `InputError` with one line for each row whose classes are not in the tree or whose image stands there twice.
    """
    if options.level not in (1, 2, 3):
        raise InputError(f"--level {options.level}: HiCervix has the levels 1, 2 and 3")
    found = ImportedRecords()
    on_disk = _on_disk(files.images(root, found), found)
    seen = False
    for folder, split in _SPLITS.items():
        path = tables.find(root, [f"{folder}.csv"])
        if path is None:
            found.notes.append(f"no {folder}.csv here, so this copy has no {split} part")
            continue
        seen = True
        for name, label in _labels(path, options.level).items():
            image = on_disk[folder].pop(names.fold(name), "")
            if image:
                found.add(image, label=label, group=image, split=split)
            else:
                found.leave_out(f"{folder}/{name}", f"{path.name} lists it, no such file")
    if not seen:
        raise InputError(f"{root}: no train.csv, val.csv or test.csv here or one folder down; looked for {LAYOUT}")
    for folder, rest in on_disk.items():
        for image in sorted(rest.values()):
            found.leave_out(image, f"not in {folder}.csv")
    if found.records:
        found.notes.append(
            "no name says which slide or woman a cell comes from: each is its own group, so a split of your own may "
            "leak; whether the published one does is not stated; --similar joins near-duplicates"
        )
    return found


def _on_disk(paths: Sequence[str], found: ImportedRecords) -> dict[str, dict[str, str]]:
    """Folder of a part -> folded file name -> path."""
    on_disk: dict[str, dict[str, str]] = {folder: {} for folder in _SPLITS}
    for path in paths:
        pure = PurePosixPath(path)
        folder = next((part for part in map(names.fold, reversed(pure.parts[:-1])) if part in _SPLITS), "")
        if not folder:
            found.leave_out(path, "not in a folder train, val or test")
        elif (first := on_disk[folder].setdefault(names.fold(pure.name), path)) != path:
            found.leave_out(path, f"a second file of this name beside {first}")
    return on_disk


def _labels(path: Path, level: int) -> dict[str, str]:
    """Image name -> its class at the level."""
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    for row in tables.read(path, ["image_name", "class_name", *_LEVELS]):
        name, classes = row["image_name"], [row[column] for column in _LEVELS]
        wrong = _wrong(row["class_name"], classes)
        first = lines.setdefault(names.fold(name), row.line)
        if wrong:
            problems.append(f"{row.where}: {wrong}; download the table again")
        elif first != row.line:
            problems.append(f"{row.where}: image_name {name!r} stands on line {first} too; keep the right row")
        labels[name] = classes[level - 1] or row["class_name"]
    tables.refuse(problems, str(path))
    return labels


def _wrong(class_name: str, classes: Sequence[str]) -> str:
    """What is not as in the tree; "" when all is."""
    first, second, third = classes
    if first not in _TREE:
        return f"level_1 {first!r} is not one of {', '.join(_TREE)}"
    if second and second not in _TREE[first]:
        return f"level_2 {second!r} is not one of {', '.join(_TREE[first])}, the classes of {first}"
    if third and third not in _LEAVES.get(second, ()):
        return f"level_3 {third!r} is no class of level_2 {second!r}"
    finest = third or second or first
    return "" if class_name == finest else f"class_name {class_name!r} is not the finest level, {finest!r}"
