"""Scripts that kill processes: each runs in a Python of its own, since only that may be forked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def script() -> Callable[..., Any]:
    """script(name, *arguments): what a script of this folder has found out, or the test fails with what it said."""

    def run(name: str, *arguments: object) -> Any:
        done = subprocess.run(
            [sys.executable, str(HERE / name), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        )
        assert done.returncode == 0, done.stderr[-4000:]
        print(done.stdout)
        return json.loads(done.stdout)

    return run


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: what a kill leaves is the same there, and syncing takes no time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
