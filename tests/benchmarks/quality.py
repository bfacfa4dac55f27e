"""`python tests/benchmarks/quality.py RUN ...`: what the quality gate of each run alarms at, into quality.md.

False alarms on the run's own test images; misses on the data sets below `CERVIX_TF_REAL_DATA`, on drawings, and on test
images that were spoiled. Beside the gate stand two scores that need the Keras model or its answer: the Mahalanobis
distance of its pooled features, and its largest probability, each with the limit that one in a hundred validation
images is beyond.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor, progress, quality, runs
from cervix_tf.contract import Contract
from cervix_tf.data.synthetic import colposcopy, pap_cells
from cervix_tf.export import quality_gate, reading
from cervix_tf.metrics import intervals
from cervix_tf.run_dir import RunDir

IMAGES = 300
"""Of each data set, at most, evenly chosen from the names in order."""
PAGE = Path(__file__).with_name("quality.md")
SETS = {
    "cric_crops": "CRIC: Pap-smear cells, conventional",
    "sipakmed": "SIPaKMeD: Pap-smear cells, conventional",
    "herlev": "Herlev: Pap-smear cells, conventional",
    "pbc": "PBC: blood cells",
    "iarc_colposcopy": "IARC: colposcopy",
    "mobileodt": "MobileODT: cervix by phone",
}
SPOILED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half as bright": lambda pixels: pixels * 0.5,
    "a quarter as bright": lambda pixels: pixels * 0.25,
    "twice as bright": lambda pixels: pixels * 2,
    "blurred, sigma 1 pixel": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 1),
    "blurred, sigma 2 pixels": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 2),
    "blurred, sigma 4 pixels": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 4),
    "left half black": lambda pixels: _half(pixels, 0),
    "left half white": lambda pixels: _half(pixels, 255),
    "left half gray": lambda pixels: _half(pixels, 128),
    "red and blue exchanged": lambda pixels: pixels[..., ::-1],
}
"""At the network's size."""


def _half(pixels: np.ndarray, value: float) -> np.ndarray:
    left = np.arange(pixels.shape[1])[None, :, None] < pixels.shape[1] // 2
    return np.where(left, np.float32(value), pixels)


@dataclass(frozen=True)
class Judge:
    """The gate of a model of single images, and the two scores beside it."""

    contract: Contract
    gate: quality.Gate
    network: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """(images, height, width, 3) -> features, (images, features), and largest probabilities, (images,)."""
    center: np.ndarray
    whitening: np.ndarray
    limits: tuple[float, float]
    """Largest distance of features, least largest probability."""

    def row(self, name: str, images: np.ndarray) -> str:
        """A line of the table."""
        wrong = [self.gate.problems([each], self.contract) for each in images]
        features, most = self.network(images)
        far = np.linalg.norm((features - self.center) @ self.whitening.T, axis=1)
        by = Counter(problem.name for each in wrong for problem in each)
        reasons = ", ".join(f"{quality.PROBLEMS[key]} {by[key]}" for key in quality.PROBLEMS if by[key])
        shares = [sum(map(bool, wrong)), int((far > self.limits[0]).sum()), int((most < self.limits[1]).sum())]
        cells = [f"{100 * count / len(images):.1f} % {_ends(count, len(images))}" for count in shares]
        return f"| {name} | {len(images)} | {' | '.join(cells)} | {reasons} |"


def _ends(count: int, n: int) -> str:
    found = intervals.wilson(count, n)
    assert found.low is not None and found.high is not None
    return f"({100 * found.low:.1f} to {100 * found.high:.1f})"


def judge(out: RunDir) -> Judge:
    """The gate of a run, written anew, and the scores of its Keras model with limits from its validation images."""
    import keras
    from sklearn.covariance import LedoitWolf

    listed = runs.manifest(out)
    gate, contract = quality_gate.write(out, listed), runs.contract(out)
    assert gate is not None and not contract.views, "needs a model of single images with enough of them"
    _, _, network, *after = runs.model(out).layers
    pooled = keras.Model(network.input, [network.layers[-1].input, network.output])

    def both(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [pooled(images[at : at + 32], training=False) for at in range(0, len(images), 32)]
        answers = []
        for _, logits in parts:
            given = functools.reduce(lambda x, layer: layer(x), after, logits)
            answers.append(np.asarray(given).max(axis=1))
        return np.concatenate([np.asarray(features) for features, _ in parts]), np.concatenate(answers)

    training, _ = both(_sized(listed.part("train").paths(), contract))
    center = training.mean(axis=0)
    covariance = LedoitWolf(assume_centered=True).fit(training - center).covariance_
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
    features, most = both(_sized(listed.part("validation").paths(), contract))
    far = np.linalg.norm((features - center) @ whitening.T, axis=1)
    limits = (float(np.quantile(far, 0.99)), float(np.quantile(most, 0.01)))
    return Judge(contract, gate, both, center, whitening, limits)


def _sized(files: Sequence[str], contract: Contract) -> np.ndarray:
    loaded = reading.loaded([[file] for file in files], contract, resize=True)
    return np.stack([pixels for pixels, _ in progress.counted(loaded, "reading images", len(files), "images")])


def _chosen(files: Sequence[str]) -> list[str]:
    places = np.linspace(0, len(files) - 1, min(IMAGES, len(files))).round().astype(int)
    return [files[at] for at in places]


def tables(out: RunDir, data: Path) -> Iterator[str]:
    """The lines of one run."""
    found = judge(out)
    listed = runs.manifest(out)
    limits = found.gate.kinds[""]
    yield f"\n## {found.contract.task}, {found.contract.width} x {found.contract.height} pixels\n"
    yield (
        f"Limits from {limits.images} training and validation images: mean luminance {limits.darkest:.0f} to "
        f"{limits.brightest:.0f}, black and white pixels up to {100 * limits.clipped:.0f} %, relative variance of "
        f"the Laplacian from {limits.sharpness:.3f}, distance up to {limits.distance:.1f}.\n"
    )
    yield "| images | n | gate alarms | distance of features | largest probability | what the gate says |"
    yield "|---|---:|---|---|---|---|"
    tested = _sized(_chosen(listed.part("test").paths()), found.contract)
    own = listed.root.resolve()
    yield found.row("**its own test images: false alarms**", tested)
    yield found.row("its validation images", _sized(listed.part("validation").paths(), found.contract))
    for folder, name in SETS.items():
        if (data / folder).resolve() in (own, *own.parents):
            continue
        files = sorted(str(file) for file in (data / folder).rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
        yield found.row(name, _sized(_chosen(files), found.contract))
    with tempfile.TemporaryDirectory() as drawn:
        pap_cells.write(Path(drawn) / "cells", cells=30, seed=0)
        files = sorted(str(file) for file in Path(drawn).rglob("*") if file.suffix in (".png", ".jpg", ".bmp"))
        yield found.row("drawings of cells", _sized(_chosen(files), found.contract))
    cervices = [colposcopy.draw(0, at, "normal", (192, 256)).images["acetic_1"] for at in range(40)]
    sized = [reading.read_input([each], found.contract, resize=True) for each in cervices]
    yield found.row("drawings of a cervix", np.stack(sized))
    for name, spoil in SPOILED.items():
        spoiled = np.stack([spoil(each) for each in tested]).clip(0, 255).astype(np.float32)
        yield found.row(f"test images, {name}", spoiled)
    begin = time.perf_counter()
    for each in tested:
        found.gate.problems([each], found.contract)
    yield f"\nThe gate takes {1000 * (time.perf_counter() - begin) / len(tested):.1f} ms an image."


def main(folders: Sequence[str]) -> None:
    """Measure each run and write the page."""
    data = Path(os.environ.get("CERVIX_TF_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    lines = [line for folder in folders for line in tables(RunDir(Path(folder)), data)]
    head = [
        "# What the quality gate alarms at\n",
        f"Written by `python tests/benchmarks/quality.py`; up to {IMAGES} images of each data set, evenly chosen; "
        "shares with Wilson's 95 % intervals. On the model's own images an alarm is false, on all others its absence "
        "is a miss. The gate (`cervix_tf/quality.py`) knows pixels alone; the two columns after it show what the "
        "Mahalanobis distance of the Keras model's pooled features and its largest probability would say, each with "
        f"the limit that 1 % of the validation images are beyond. {processor.here()}.",
    ]
    PAGE.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(sys.argv[1:])
    print(f"written to {PAGE}")
