"""`python tests/benchmarks/growth.py [ROWS ...]`: what tables of so many images cost, in processor time and memory.

Each line is a process of its own on a generated table; no image is read. The times are the processor's, which hardly
depend on what else the machine does. docs/guides/large_data.md has the table.
"""

from __future__ import annotations

import atexit
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import fingerprints, manifest, splits
from cervix_tf.metrics import calibration, classification, predictions
from cervix_tf.report import page
from cervix_tf.run_dir import RunDir, write_json

CLASSES = ("normal", "cin1", "cin2", "cancer")


def table(rows: int) -> pd.DataFrame:
    """A manifest of `rows` images, three a woman."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "path": [f"images/{at // 1000:04d}/{at:08d}.png" for at in range(rows)],
            "sha256": [hashlib.sha256(str(at).encode()).hexdigest() for at in range(rows)],
            "label": generator.choice(CLASSES, rows),
            "group": [f"woman {at // 3}" for at in range(rows)],
            "site": generator.choice(["A", "B"], rows),
        }
    )


def read_manifest(rows: int) -> Callable[[], object]:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "manifest.csv"
    table(rows).to_csv(file, index=False)
    return lambda: manifest.read(file, Path("/"))


def split_by_woman(rows: int) -> Callable[[], object]:
    whole = read_manifest(rows)()
    assert isinstance(whole, manifest.Manifest)
    return lambda: splits.grouped(whole, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0)


def find_near_duplicates(rows: int) -> Callable[[], object]:
    thumbnail = np.zeros((32, 32, 3), np.uint8)
    hashes = np.random.default_rng(0).integers(0, 2**64, rows, dtype=np.uint64).tolist()
    prints = [fingerprints.Fingerprint((), hash=each, thumbnail=thumbnail) for each in hashes]
    return lambda: fingerprints.near_pairs(prints)


def predicted(rows: int) -> predictions.Predictions:
    """Predictions of so many images, three a woman, that are right more often than not."""
    labels = np.random.default_rng(0).integers(0, len(CLASSES), rows)
    scores = np.random.default_rng(1).random((rows, len(CLASSES))) + np.eye(len(CLASSES))[labels] / 2
    inputs = table(rows).assign(
        id=lambda known: known["path"], case="", view="", age=np.nan, label=np.array(CLASSES)[labels]
    )
    return predictions.from_rows(inputs, scores / scores.sum(1, keepdims=True), CLASSES)


def metrics_with_intervals(rows: int) -> Callable[[], object]:
    tested = predicted(rows)
    return lambda: classification.summary(tested, positive=CLASSES[2:], data="generated", synthetic=True)


def calibration_with_intervals(rows: int) -> Callable[[], object]:
    tested = predicted(rows)
    return lambda: calibration.measured(tested, CLASSES[2:])


def predictions_and_report(rows: int) -> Callable[[], object]:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    run = RunDir(Path(folder.name))
    tested = predicted(rows)
    found = classification.summary(tested, positive=CLASSES[2:], resamples=100, data="generated", synthetic=True)
    write_json(run.metrics, found)

    def write() -> None:
        predictions.write(tested, run.predictions)
        page.evaluation(run.root)

    return write


WORK = {
    each.__name__: each
    for each in (
        read_manifest,
        split_by_woman,
        find_near_duplicates,
        metrics_with_intervals,
        calibration_with_intervals,
        predictions_and_report,
    )
}


def measure(name: str, rows: int) -> None:
    """Print seconds of processor time and the process's peak memory in MB."""
    work = WORK[name](rows)
    before = time.process_time()
    work()
    print(f"{time.process_time() - before:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    """Measure every work at every size, each in a process of its own."""
    if len(sys.argv) == 3 and sys.argv[1] in WORK:
        return measure(sys.argv[1], int(sys.argv[2]))
    sizes = [int(each) for each in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---" * 1 + "|---" * len(sizes) + "|")
    for name in WORK:
        found = [
            subprocess.run([sys.executable, __file__, name, str(size)], capture_output=True, text=True, check=True)
            for size in sizes
        ]
        print(f"| {name.replace('_', ' ')} | " + " | ".join(each.stdout.strip() for each in found) + " |", flush=True)


if __name__ == "__main__":
    main()
