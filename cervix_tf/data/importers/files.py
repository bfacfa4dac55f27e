"""The image files below a folder, in a fixed order, and what their first bytes say about them."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from cervix_tf.data import bounded, names, walk
from cervix_tf.data.importers.found import Found
from cervix_tf.errors import InputError

_AT_A_TIME = 256
_SHOWN = 3
_MOST_BYTES = 2**31
_JPEG_SIZE_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_PIXELS_A_SIDE = 999_999


def images(root: Path, found: Found) -> list[str]:
    """The images below `root` as `walk.images` gives them; the others go to `found.left_out`.

    Names that are equal but for case or Unicode form go to `found.notes`. Raises `InputError` when `root` is
    missing, is not a folder, or holds no image.
    """
    paths, left_out = walk.images(root)
    found.left_out += left_out
    note_twins(paths, found)
    if not paths:
        example = f"; there is {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise InputError(f"{root}: no image below this folder; looked for {', '.join(walk.SUFFIXES)} files{example}")
    return paths


def note_twins(paths: Sequence[str], found: Found) -> None:
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

    def some(at: int) -> list[str]:
        return [path for record in records[at : at + _AT_A_TIME] if (path := _describe(record, root, hashed))]

    with ThreadPoolExecutor() as pool:  # reading and hashing both give up Python's lock
        return [path for paths in pool.map(some, range(0, len(records), _AT_A_TIME)) for path in paths]


def _describe(record: dict[str, object], root: Path, hashed: bool) -> str:
    """The record's path if its file has no size that can be read, else ""."""
    path = str(record["path"])
    try:
        with bounded.opened(root / path, _MOST_BYTES) as file:
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
        with bounded.opened(path, _MOST_BYTES) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, InputError):
        return ""


def size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) in pixels as stored, EXIF orientation ignored; None when no image header is found.

    JPEG, PNG and BMP are read from the header alone; anything else is decoded.
    """
    head = file.read(32)
    found: tuple[int, int] | None
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            found = _pair(">II", head[16:24])
        elif head.startswith(b"BM"):
            old = struct.unpack("<I", head[14:18])[0] == 12
            found = _pair("<HH", head[18:22]) if old else _pair("<ii", head[18:26])
            found = (found[0], abs(found[1]))  # a negative height means that rows run downwards
        elif head.startswith(b"\xff\xd8"):
            found = _jpeg_size(file)
        else:
            found = _decoded_size(head + file.read())
    except struct.error:
        return None
    if found is None or not all(0 < side <= _MOST_PIXELS_A_SIDE for side in found):
        return None
    return found


def _pair(form: str, data: bytes) -> tuple[int, int]:
    first, second = struct.unpack(form, data)
    return first, second


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while True:
        byte = file.read(1)
        while byte not in (b"", b"\xff"):  # skip to the next marker
            byte = file.read(1)
        while byte == b"\xff":  # any number of fill bytes
            byte = file.read(1)
        if not byte:
            return None
        marker = byte[0]
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # these carry no length
            continue
        if marker in (0xD9, 0xDA):  # the picture begins or ends, and no size came
            return None
        length = struct.unpack(">H", file.read(2))[0]
        if marker in _JPEG_SIZE_MARKERS:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        file.seek(max(length - 2, 0), os.SEEK_CUR)


def _decoded_size(data: bytes) -> tuple[int, int] | None:
    import cv2
    import numpy as np

    if not data:
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if pixels is None else (pixels.shape[1], pixels.shape[0])
