"""The one exception for things a user can mend, and how a command ends on it."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator


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
    errno.ENOENT: "no such file or folder: check the path",
    errno.EEXIST: "a part of this path is a file, not a folder: check the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file, not a folder: check the path",
    errno.EISDIR: "this is a folder, a file was expected: check the path",
}


@contextlib.contextmanager
def exit_cleanly() -> Iterator[None]:
    """End the process with exit code 2 and a plain message when the input was at fault.

    Handles `InputError` and the operating system's refusals (no space, no
    permission, missing path). Anything else is a bug of ours and keeps its traceback.
    """
    try:
        yield
    except InputError as error:
        fail(str(error))
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        fail(f"{error.filename or 'writing'}: {_REMEDIES[error.errno]}")
    except KeyboardInterrupt:
        print("\ninterrupted; start the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None


def fail(message: str) -> None:
    """Print `error: message` to standard error and end the process with exit code 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2) from None
