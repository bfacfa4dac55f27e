"""How long one input takes on this machine, and how many bytes a model has."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_WARM_UP = 3


def milliseconds(path: Path, threads: Sequence[int | None] = (1, None), repeats: int = 30) -> list[float]:
    """Median time of one input at the contract's native size, decoding left out, with each number of threads.

    `threads` None = all. Each is measured in a process of its own, since TensorFlow's number of threads is fixed once
    it has started; all are made ready at once and then measured in turn. Raises `RuntimeError` when one fails.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with contextlib.ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in threads]
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "cervix_tf.export.latency", str(path), str(number or 0), str(repeats)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=error,
                    text=True,
                    env=environment,
                )
            )
            for number, error in zip(threads, errors, strict=True)
        ]
        ready = [_line(worker) for worker in workers]
        measured = [_line(worker, "measure\n") if line else "" for worker, line in zip(workers, ready, strict=True)]
        for error, line in zip(errors, measured, strict=True):
            if not line:
                error.seek(0)
                raise RuntimeError(f"{path}: measuring its latency failed:\n{error.read()[-2000:]}")
    return [float(line) for line in measured]


def _line(worker: subprocess.Popen[str], command: str = "") -> str:
    """The next line that a worker prints, after it was told `command`; empty when it has ended."""
    assert worker.stdin is not None and worker.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(command)
        worker.stdin.flush()
    return worker.stdout.readline()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _work(path: Path, threads: int | None, repeats: int) -> None:
    """Load and warm up, say that this is done, and measure when told to."""
    from cervix_tf.export import runtime

    model = runtime.load(path, threads)
    contract = model.contract
    views = (len(contract.views),) if contract.views else ()
    shape = (1, *views, contract.native_height, contract.native_width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for _ in range(_WARM_UP):
        model.run(images)
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        model.run(images)
        seconds.append(time.perf_counter() - begin)
    print(1000 * statistics.median(seconds), flush=True)
    os._exit(0)  # to take TensorFlow and the model apart takes seconds


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]) or None, int(sys.argv[3]))
