"""How long one input takes on this machine, and how many bytes a model has."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_WARM_UP = 3


def milliseconds(path: Path, threads: int | None, repeats: int = 30) -> float:
    """Median time of one input at the contract's native size, decoding left out; `threads` None = all.

    Measured in a process of its own: TensorFlow's number of threads is fixed once it has started.
    """
    command = [sys.executable, "-m", "cervix_tf.export.latency", str(path), str(threads or 0), str(repeats)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{path}: measuring its latency failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _measure(path: Path, threads: int | None, repeats: int) -> float:
    from cervix_tf.export import runtime

    model = runtime.load(path, threads)
    contract = model.contract
    views = (len(contract.views),) if contract.views else ()
    shape = (1, *views, contract.native_height, contract.native_width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seconds = []
    for _ in range(_WARM_UP + repeats):
        begin = time.perf_counter()
        model.run(images)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds[_WARM_UP:])


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), int(sys.argv[2]) or None, int(sys.argv[3])))
