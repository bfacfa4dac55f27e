"""Files opened only when they are plain files of a bounded size: nothing that blocks, nothing that never ends."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from cervix_tf.errors import InputError


def opened(
    path: Path, most: int, *, missing: str = "check the path", folder: str = "a file was expected"
) -> BufferedReader:
    """The file at `path`, open at its first byte.

    Raises `InputError` when it is missing (`missing` says what to do), a folder (`folder` says
    what was expected), a pipe or a device, larger than `most` bytes, or not ours to read.
    """
    try:
        mode = path.stat().st_mode  # before opening: opening a pipe waits, opening a device may do things
        file = path.open("rb") if stat.S_ISREG(mode) else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {missing}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise InputError(f"{path}: cannot be opened ({getattr(error, 'strerror', error)}); {missing}") from None
    if file is None:
        what = f"is a folder; {folder}" if stat.S_ISDIR(mode) else "is a pipe or a device; give a file"
        raise InputError(f"{path}: {what}")
    size = os.fstat(file.fileno()).st_size
    if size > most:
        file.close()
        raise InputError(f"{path}: has {size / 1e6:,.0f} MB, at most {most / 1e6:,.0f} are read; is it the right file?")
    return file
