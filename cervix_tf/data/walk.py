"""The image files below a folder, and what looks like one there and is none."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cervix_tf.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".tif", ".tiff")
"""Lower-case endings of the files that are taken for images."""
NOT_READ = (
    *(".avif", ".bif", ".czi", ".dcm", ".dicom", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jxl", ".mrxs"),
    *(".ndpi", ".scn", ".svs", ".vsi", ".webp"),
)
"""Lower-case endings of images in formats that nothing here reads: they are named, not passed over in silence."""
MADE_BY_SYSTEMS = {
    "__macosx",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@sharebin",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "lost+found",
    "network trash folder",
    "recycler",
    "system volume information",
    "temporary items",
    "thumbnails",
    "thumbs",
    "thumbs.db",
}
"""Folders, in lower case, that operating systems and network drives fill with small, old or deleted copies."""
THUMBNAIL = re.compile(r"SYNO\w*_THUMB_", re.IGNORECASE)
"""How the names of a network drive's thumbnails begin."""


def images(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """POSIX paths, relative to `root`, of all image files below it, sorted by code point; and what was left out.

    Left out, each as (path, reason): hidden files, thumbnails and copies that operating systems and network
    drives make, names that no manifest can hold, images in formats that are not read, and what is called like an image
    and is no file.
    Links to folders are not followed. Raises `InputError` when `root` is no folder or a folder cannot be opened.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder; give the folder that the data set was unpacked to")
    if not root.is_dir():
        raise InputError(f"{root}: is a file; give the folder that the data set was unpacked to")

    def unopened(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be opened ({error.strerror}); change its permissions or move it")

    paths: list[str] = []
    left_out: list[tuple[str, str]] = []
    for folder, folders, files in os.walk(root, onerror=unopened):
        inside = Path(folder).relative_to(root).as_posix()
        start = "" if inside == "." else f"{inside}/"
        made = strange(PurePosixPath(inside).parts)
        for name in list(folders):
            why = "" if made or strange((name,)) else _no_class_folder(Path(folder) / name)
            if why:
                left_out.append((_printable(f"{start}{name}"), why))
                folders.remove(name)
        for name in files:
            if name.lower().endswith(SUFFIXES):
                path = f"{start}{name}"
                why = made or strange((name,)) or _unnameable(path) or _no_file(Path(folder) / name)
                if why:
                    left_out.append((_printable(path), why))
                else:
                    paths.append(path)
            elif name.lower().endswith(NOT_READ) and not (made or strange((name,))):
                left_out.append((_printable(f"{start}{name}"), "image in a format that is not read; convert it to PNG"))
    return sorted(paths), sorted(left_out)


def strange(parts: Sequence[str]) -> str:
    """Why files in or under these names are no part of a data set; "" where they may be."""
    for part in parts:
        if part.startswith("."):
            return "hidden file: left by an operating system, not part of the data set"
        if part.lower() in MADE_BY_SYSTEMS or THUMBNAIL.match(part):
            return "thumbnail or old copy: made by an operating system or a network drive, not part of the data set"
    return ""


def _no_class_folder(folder: Path) -> str:
    if folder.is_symlink():
        return "link to a folder, which is not followed; import that folder, or copy it here"
    return "folder that is called like an image; rename it" if folder.name.lower().endswith(SUFFIXES) else ""


def _unnameable(path: str) -> str:
    # also catches names that are not UTF-8: Python holds their bytes as lone surrogates
    fine = path.isprintable() and "\\" not in path
    return "" if fine else "name has control characters, backslashes or is not UTF-8; rename it"


def _no_file(path: Path) -> str:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return "link that leads to no file; copy the file here"
    return "" if regular else "pipe or device, no file; remove it"


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
