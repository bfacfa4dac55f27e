"""One run, one process: a lock on a run's folder that ends with the process that has it, however that ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cervix_tf import atomic
from cervix_tf.errors import InputError

NAME = ".lock"
"""File in a run's folder that is locked, and says by whom. It stays: that it is there means nothing."""
_PATIENCE = 2.0  # seconds that a process may take between locking the file and writing into it


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep every other process out of `folder` while the block runs; what killed ones left there is cleared first.

    Where the file system has no locks, a warning says so, and nothing is cleared.

    Raises `InputError` that names the process that has the lock.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a run's own folder, saved_models/<paper>/<run>")
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            raise InputError(
                f"{folder}: {_holder(descriptor)} is working there; "
                "wait until it has finished, or choose another run folder (a study: --run NAME, train: -o RUN)"
            ) from None
        except OSError as error:
            print(
                f"warning: {folder}: this file system has no locks ({error.strerror}); "
                "make sure that no other process uses this run",
                file=sys.stderr,
            )
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _me(), 0)
            atomic.clear_leftovers(folder)
        yield
    finally:
        os.close(descriptor)  # which unlocks it; the system does the same for a dead process


def _lock(descriptor: int) -> None:
    """Raises `BlockingIOError` where another has it, another `OSError` where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        raise OSError(errno.ENOSYS, "not on this system") from None
    # Not lockf: with that, any other descriptor of the file that this process closes would end the lock.
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _me() -> bytes:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": now}).encode()


def _holder(descriptor: int) -> str:
    """The process that has the lock, in words, once it has written them down."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            there = json.loads(os.pread(descriptor, 4096, 0))
            if _may_live(there):
                return f"process {there['process']} on {there['host']}, since {there['since']},"
        except (ValueError, KeyError, TypeError):
            pass
        if time.monotonic() > deadline:
            return "another process"
        time.sleep(0.05)


def _may_live(there: dict[str, Any]) -> bool:
    """False for what a dead process of this machine has left in the file."""
    try:
        if there["host"] == socket.gethostname():
            os.kill(there["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is somebody else's
        pass
    return True
