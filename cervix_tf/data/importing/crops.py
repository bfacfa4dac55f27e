"""Cells cut out of annotated fields: each becomes a PNG file of its own, and the manifest is that of these files."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cervix_tf import atomic, durable, progress
from cervix_tf.data import names, png
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the field as it is on disk."""


@dataclass(frozen=True)
class Cell:
    """One annotated cell."""

    crop: str
    """Where its crop goes, a PNG file relative to the folder of crops."""
    name: str
    """What messages call it, after its field."""
    label: str
    group: str
    x: float
    """Center, in the units of its annotation; as y."""
    y: float
    width: float = 0
    """Of its box, in the same units; 0 where the annotation is a point. As height."""
    height: float = 0
    split: str = ""


def cut_out(
    root: Path,
    folder: Path | None,
    by_field: Mapping[str, Sequence[Cell]],
    found: ImportedRecords,
    box: Callable[[Cell, int, int], Box],
    key: Callable[[PurePosixPath], str] = lambda path: path.name,
) -> dict[str, tuple[int, int]]:
    """Write the crop of every cell whose field is there, and add a row for it; `folder` becomes the manifest's root.

    `by_field` has the cells of each field by what `key` makes of the field's path; `box(cell, width, height)` is the
    cell's place in its field of that size. A cell whose center is outside or whose box is larger than the field is left
    out; beyond the field's border its outermost pixels go on (a mirror image would show cells twice). Returns (width,
    height) of each field that was cut, by its path.

    Raises `InputError` without `folder`, where that holds `root` or pictures of it that no import wrote, and where two
    different pictures have one key.
    """
    paths = files.images(root, found)
    if folder is None:
        raise InputError(f"{root}: the cells have to be cut out of the fields; name a folder for them with --crops")
    if root.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"--crops {folder}: contains the fields themselves; name a folder only for the crops")
    inside, own = {path: _within(root / path, folder) for path in paths}, atomic.written(folder)
    theirs = [path for path, name in inside.items() if name and name not in own]
    if theirs:
        raise InputError(
            f"--crops {folder}: holds {root / theirs[0]}, which no import wrote; name a folder only for the crops"
        )
    on_disk = _on_disk(root, [path for path, name in inside.items() if not name], found, key)
    # only of fields that are there: a table may name anything, also what is no name of a file
    there = [here for field, here in by_field.items() if names.fold(field) in on_disk]
    atomic.claim(folder, [cell.crop for here in there for cell in here])
    found.root = folder
    sizes: dict[str, tuple[int, int]] = {}
    for field in progress.counted(sorted(by_field), "cutting cells out", len(by_field), "fields"):
        here = by_field[field]
        path = on_disk.pop(names.fold(field), "")
        pixels = decoded(root / path) if path else None
        if pixels is None:
            what = "cannot be decoded" if path else "is not in this copy"
            found.leave_out(path or field, f"field {what}, and with it {len(here)} cells")
            continue
        height, width = pixels.shape[:2]
        sizes[path] = (width, height)
        for cell in here:
            place = box(cell, width, height)
            wrong = _misplaced(cell, place, width, height)
            if wrong:
                found.leave_out(f"{path} {cell.name}", wrong)
                continue
            png.write(folder / cell.crop, cut(pixels, place), synced=False)
            found.add(cell.crop, label=cell.label, group=cell.group, split=cell.split)
    for path in sorted(on_disk.values()):
        found.leave_out(path, "no cell of this picture is annotated")
    durable.sync(folder)
    found.records.sort(key=lambda record: str(record["path"]))
    return sizes


def cut(field: np.ndarray, box: Box) -> np.ndarray:
    """The box of `field` (height, width, 3), whose border goes on where the box does; its center is inside."""
    import cv2

    left, top, width, height = box
    right, bottom = left + width, top + height
    return cv2.copyMakeBorder(
        field[max(top, 0) : min(bottom, field.shape[0]), max(left, 0) : min(right, field.shape[1])],
        max(-top, 0),
        max(bottom - field.shape[0], 0),
        max(-left, 0),
        max(right - field.shape[1], 0),
        cv2.BORDER_REPLICATE,
    )


def _misplaced(cell: Cell, box: Box, width: int, height: int) -> str:
    """Why the cell cannot be cut out of a field of this size; "" where it can."""
    left, top, wide, high = box
    if not (0 <= left + wide // 2 < width and 0 <= top + high // 2 < height):
        return f"its center ({cell.x:g}, {cell.y:g}) is outside the field"
    larger = cell.width and (wide > width or high > height)
    return f"its box of {wide} x {high} pixels is larger than the field" if larger else ""


def square(x: float, y: float, size: int) -> Box:
    """The box of `size` x `size` pixels around the pixel nearest to a point."""
    return round(x) - size // 2, round(y) - size // 2, size, size


def around(x: float, y: float, width: float, height: float) -> Box:
    """The box of whole pixels, at least one, nearest to the box of this center and size."""
    wide, high = max(round(width), 1), max(round(height), 1)
    return round(x - wide / 2), round(y - high / 2), wide, high


def check_size(size: int) -> None:
    """Raise `InputError` for a crop of no pixel."""
    if size < 1:
        raise InputError(f"--crop-size {size}: give the side of a crop in pixels, 1 or more")


def decoded(path: Path) -> np.ndarray | None:
    """Pixels (height, width, 3) uint8, red first, or None when the file cannot be read as an image."""
    from cervix_tf.data import images

    try:
        return images.decode_file(path)
    except images.UnreadableImage:
        return None


def _within(path: Path, folder: Path) -> str:
    """The path below `folder`, POSIX; empty where it lies elsewhere."""
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""


def _on_disk(
    root: Path, paths: Sequence[str], found: ImportedRecords, key: Callable[[PurePosixPath], str]
) -> dict[str, str]:
    """Folded key -> path; copies are left out."""
    on_disk: dict[str, str] = {}
    for path in paths:
        first = on_disk.setdefault(names.fold(key(PurePosixPath(path))), path)
        if first != path and not filecmp.cmp(root / first, root / path, shallow=False):
            raise InputError(f"{root / first} and {root / path}: two pictures with the same name; move one")
        if first != path:
            found.leave_out(path, f"copy of {first}")
    return on_disk
