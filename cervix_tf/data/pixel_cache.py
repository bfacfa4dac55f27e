"""Decoded images in the user's cache folder: what is damaged there is decoded again, a full disk costs only speed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cervix_tf.errors import InputError

FOLDER = "CERVIX_TF_CACHE"
"""Environment variable with the folder to keep decoded images in, instead of the user's cache folder."""

_READER = 2
"""Raised whenever a file may give other pixels than before, so that none are taken from an older cache."""
_HEAD = struct.Struct("<8sIII")  # mark, checksum, height, width
_MARK = b"cervix1\n"


def folder() -> Path:
    """Where decoded images are kept: below CERVIX_TF_CACHE, else $XDG_CACHE_HOME, else ~/.cache."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named) / "images"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (shared if shared.is_absolute() else Path.home() / ".cache") / "cervix_tf" / "images"
    except RuntimeError:
        raise InputError(f"this user has no home folder to cache images in; set {FOLDER} to a folder") from None


class PixelCache:
    """The pixels of an image file, from the cache if they are there, whole, and the file has not changed since.

    Patients' images lie in it, so its folder is the user's alone (mode 0700, files 0600). A
    kept file is used only when its checksum is right. What cannot be kept is decoded
    each time, with one note for all.
    """

    def __init__(self, where: Path, decode: Callable[[str], np.ndarray]) -> None:
        self._folder, self._decode = where, decode
        self._ours = self._open = False
        try:
            where.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep_private(where)
            self._ours = self._open = True
        except OSError as error:
            self._say(error)

    def __call__(self, file: str) -> np.ndarray:
        """(height, width, 3) uint8; errors are those of the decoder."""
        try:
            found = Path(file).stat()
        except OSError:
            return self._decode(file)  # says what is wrong
        if not self._ours:
            return self._decode(file)
        state = f"{_READER} {Path(file).resolve()} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        kept = self._folder / f"{hashlib.sha256(state.encode('utf-8', 'surrogateescape')).hexdigest()}.pixels"
        pixels = _read(kept)
        if pixels is None:
            pixels = self._decode(file)
            if self._open:
                self._keep(kept, pixels)
        return pixels

    def _keep(self, kept: Path, pixels: np.ndarray) -> None:
        part = kept.with_name(f".part-{kept.name}")
        try:
            # Neither synced nor locked: what a power cut or two writers leave is found by its checksum.
            with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(_HEAD.pack(_MARK, _checksum(pixels), *pixels.shape[:2]))
                file.write(pixels.data)
            part.replace(kept)
        except FileNotFoundError:
            return  # another writer of the same image was first
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if self._open:  # several threads may fail at once
                self._open = False
                self._say(error)

    def _say(self, error: OSError) -> None:
        print(
            f"note: {self._folder}: {error.strerror}: images that are not stored there yet are decoded again in each "
            f"epoch; free some space or set {FOLDER} to another folder",
            file=sys.stderr,
        )


def _keep_private(where: Path) -> None:
    """Take the folder from everyone but its owner; `OSError` when it is another user's, who could read or change it."""
    found = where.lstat()
    if not hasattr(os, "getuid"):  # Windows: folders below the user's own are the user's own
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "not this user's own folder", str(where))
    if stat.S_IMODE(found.st_mode) != 0o700:
        where.chmod(0o700)


def _read(kept: Path) -> np.ndarray | None:
    """The pixels in a kept file; None when there are none or not those that were written."""
    try:
        data = kept.read_bytes()
    except OSError:
        return None
    if len(data) < _HEAD.size:
        return None
    mark, checksum, height, width = _HEAD.unpack_from(data)
    if mark != _MARK or len(data) != _HEAD.size + height * width * 3:
        return None
    pixels = np.frombuffer(data, np.uint8, offset=_HEAD.size).reshape(height, width, 3)
    return pixels if _checksum(pixels) == checksum else None


def _checksum(pixels: np.ndarray) -> int:
    """CRC-32 of the shape and the pixels."""
    return zlib.crc32(pixels.data, zlib.crc32(repr(pixels.shape).encode()))
