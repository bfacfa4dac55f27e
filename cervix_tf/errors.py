"""The one exception for things a user can fix, and how a command ends on it."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from cervix_tf import progress


class InputError(ValueError):
    """Something outside the program is wrong: a file, a row, an option.

    The message names file, row, value and remedy, one line a problem. Commands
    print it without a traceback and end with exit code 2.
    """


_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another place, then start the same run again",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another place",
    errno.EACCES: "no permission: choose a folder you may write to, or change its permissions",
    errno.EPERM: "not permitted: choose a folder you may write to",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EFBIG: "larger than a file may be here: choose another place, or ask who set that limit",
    errno.EIO: "the disk could not do it: it may be failing, or a network drive is gone",
    errno.ENOENT: "no such file or folder: check the path",
    errno.EEXIST: "a part of this path is a file, not a folder: check the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file, not a folder: check the path",
    errno.EISDIR: "this is a folder, a file was expected: check the path",
}


_IN_WORDS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_CLOSED_PIPE = 128 + 13  # what a shell reports of a program that the signal SIGPIPE ended


@contextlib.contextmanager
def exit_cleanly() -> Iterator[None]:
    """End the process with exit code 2 and a plain message when the input was at fault.

    Handles `InputError` and the operating system's refusals (no space, no permission, missing path, and the like),
    also where a library tells of them only in words. When nobody reads on (`| head -1`) the process ends without a
    word. What the terminal's code page cannot show is spelled out (`\\u0441`). Anything else is a bug of ours and
    keeps its traceback. Meanwhile stages are shown (see `cervix_tf.progress`).
    """
    atexit.register(gc.freeze)  # else the process looks through every graph for garbage at its end, which takes seconds
    for stream in (sys.stdout, sys.stderr):
        _spell_out(stream)
    try:
        with progress.shown():
            yield
        sys.stdout.flush()  # here, so that a full disk or a closed pipe is told as any other is
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        _leave(_CLOSED_PIPE)
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        code = system_code(error)
        if code is None:
            raise
        name = getattr(error, "filename", None) or "writing"
        fail(f"{name}: {_REMEDIES.get(code, os.strerror(code))}")


def fail(message: str) -> None:
    """Print `error: message` to standard error and end the process with exit code 2."""
    with contextlib.suppress(OSError):  # nobody reads that either
        print(f"error: {message}", file=sys.stderr, flush=True)
    _leave(2)


def system_code(error: Exception) -> int | None:
    """The operating system's error number behind an exception, None if it was not the system that refused.

    TensorFlow, HDF5 and NumPy have exceptions of their own, which tell it in words.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno
    said = str(error)
    if re.fullmatch(r"\d+ requested and \d+ written", said):  # NumPy, of an array that did not go into a file
        return errno.ENOSPC
    return next((code for code in _IN_WORDS if os.strerror(code) in said), None)


def _spell_out(stream: TextIO) -> None:
    """Let a text stream write what its encoding lacks as escapes, where it would raise an error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure and stream.errors in ("strict", "surrogateescape"):
        reconfigure(errors="backslashreplace")


def _leave(code: int) -> None:
    """End the process; what standard output still holds is written if that can be, and else forgotten."""
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again at its very end, and complain
        with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    raise SystemExit(code) from None
