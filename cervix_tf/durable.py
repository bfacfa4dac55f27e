"""What the file system is asked for so that files outlive a power failure: contents and names on the disk itself."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_THREADS = 16  # waiting, not working: a disk takes many requests in one turn
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def sync(path: Path) -> None:
    """Wait until a file, or a folder with everything below it, is on the disk."""
    if not path.is_dir():
        _fsync(path)
        return
    folders, files = [], []
    for root, _, names in os.walk(path):
        folders.append(Path(root))
        files += [Path(root) / name for name in names if not (Path(root) / name).is_symlink()]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(_fsync, files))
    for folder in reversed(folders):
        sync_names(folder)


def sync_names(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk: what was made, renamed and removed there."""
    with _unless_unknown():
        _fsync(folder)


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each name on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_names(each.parent)


def reserve(path: Path, size: int) -> None:
    """Raise `OSError` unless a file of `size` bytes can be written to the new `path`; none is left there."""
    with path.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        finally:
            path.unlink()


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False, and nothing done, where the system has no such step."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _unless_unknown() -> Iterator[None]:
    """Some network file systems, and Windows, know no syncing of folders: they do it by themselves or not at all."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*_CANNOT, errno.EBADF, errno.EACCES):
            raise
