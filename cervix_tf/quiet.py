"""A terminal without the lines of C++ libraries, which are written before any log level applies, or despite one."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def libraries() -> Iterator[None]:
    """What anything writes to standard error meanwhile is not seen: missing CUDA, CPU flags, delegates, cuInit.

    For blocks that load libraries or run a model, and say nothing themselves: the process has
    one standard error. What fails there raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as unread:
        os.dup2(unread.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
