"""The image files below a folder, in a fixed order, and what their first bytes say about them."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from cervix_tf.data import headers
from cervix_tf.data.importers.found import Found
from cervix_tf.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_HEAD = 2**16
_MOST_PIXELS_A_SIDE = 999_999


def images(root: Path, found: Found) -> list[str]:
    """POSIX paths, relative to `root`, of all image files below it, sorted by code point.

    Hidden files and folders, and the shadow copies in `__MACOSX`, go to `found.left_out`.
    Raises `InputError` when `root` is missing, is not a folder, or holds no image.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder; give the folder that the data set was unpacked to")
    if not root.is_dir():
        raise InputError(f"{root}: is a file; give the folder that the data set was unpacked to")
    paths = []
    for folder, _, names in os.walk(root):
        for name in names:
            if not name.lower().endswith(SUFFIXES):
                continue
            path = (Path(folder) / name).relative_to(root)
            posix = path.as_posix()
            if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
                found.leave_out(posix, "hidden file: left by an operating system, not part of the data set")
            elif not posix.isprintable() or "\\" in posix:
                # also catches names that are not UTF-8: Python holds their bytes as lone surrogates
                shown = posix.encode("utf-8", "backslashreplace").decode()
                found.leave_out(shown, "name has control characters, backslashes or is not UTF-8; rename it")
            else:
                paths.append(posix)
    found.left_out.sort()
    if not paths:
        raise InputError(f"{root}: no image below this folder; looked for {', '.join(SUFFIXES)} files")
    return sorted(paths)


def describe(records: list[dict[str, object]], root: Path, hashed: bool) -> list[str]:
    """Fill in sha256 (where `hashed` and not yet there), width and height; returns paths without a size."""

    def one(record: dict[str, object]) -> str:
        path = str(record["path"])
        try:
            with (root / path).open("rb") as file:
                if hashed and not record.get("sha256"):
                    record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
                    file.seek(0)
                found = size(file)
        except OSError:
            found = None
        if found is None:
            return path
        record["width"], record["height"] = found
        return ""

    with ThreadPoolExecutor() as pool:  # reading and hashing both give up Python's lock
        return [path for path in pool.map(one, records) if path]


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes; "" when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
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
