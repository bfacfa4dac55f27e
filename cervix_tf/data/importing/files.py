"""The image files below a folder, in a fixed order, and what their first bytes say about them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from cervix_tf import progress
from cervix_tf.data import each_file, headers, names, plain_file, walk
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

_SHOWN = 3
_MOST_BYTES = 2**31
_HEAD = 2**16
_MOST_PIXELS_A_SIDE = 999_999


def images(root: Path, found: ImportedRecords) -> list[str]:
    """The images below `root` as `walk.images` gives them; the others go to `found.left_out`.

    Names that are equal but for case or Unicode form go to `found.notes`. Raises `InputError` when `root` is
    missing, is not a folder, or holds no image.
    """
    with progress.stage("looking for images"):
        paths, left_out = walk.images(root)
    found.left_out += left_out
    note_twins(paths, found)
    if not paths:
        example = f"; there is {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise InputError(f"{root}: no image below this folder; looked for {', '.join(walk.SUFFIXES)} files{example}")
    return paths


def note_twins(paths: Sequence[str], found: ImportedRecords) -> None:
    """Say in `found.notes` which paths are one but for case or Unicode form."""
    twins = names.alike(paths, names.fold)
    if twins:
        found.notes.append(
            f"{len(twins)} names differ only in case or Unicode form, which some systems take for one file "
            f"({'; '.join(' and '.join(same) for same in twins[:_SHOWN])}{'; ...' if len(twins) > _SHOWN else ''}): "
            "is one a copy of the other?"
        )


def describe(records: list[dict[str, object]], root: Path, hashed: bool) -> list[str]:
    """Fill in sha256 (where `hashed` and not yet there), width and height; returns paths without a size."""

    # Reading and hashing both give up Python's lock.
    paths = each_file.results(lambda record: _describe(record, root, hashed), records, "measuring images")
    return [path for path in paths if path]


def _describe(record: dict[str, object], root: Path, hashed: bool) -> str:
    """The record's path if its file has no size that can be read, else ""."""
    path = str(record["path"])
    try:
        with plain_file.opened(root / path, _MOST_BYTES) as file:
            if hashed and not record.get("sha256"):
                record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
            found = size(file)
    except (OSError, InputError):
        found = None
    if found is None:
        return path
    record["width"], record["height"] = found
    return ""


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes; "" when it cannot be read."""
    try:
        with plain_file.opened(path, _MOST_BYTES) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, InputError):
        return ""


def size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) in pixels of the upright image; None when no image header is found. No pixel is decoded."""
    data = file.read(_HEAD)
    for more in (0, headers.most_bytes(headers.most_pixels())):
        data += file.read(more)
        try:
            header = headers.read(data)
        except InputError:
            continue  # a camera's own notes and small pictures may stand before the size
        if more or header.format in ("JPEG", "BMP"):  # PNG and TIFF may say at their end that they are turned
            height, width = header.shape
            return (width, height) if max(width, height) <= _MOST_PIXELS_A_SIDE else None
    return None
