"""A folder of synthetic colposcopy visits in the layout of the IEEE DataPort cervigrams.

`<train or test>/<class: 0 to 3>/<visit>/<visit>_<1 to 7>.jpg`: sorted by name, five images
after acetic acid, one through the green lens, one after iodine. Beside the two folders
stand `evidence.csv` (where each class can be seen) and `README.txt`.

What the pictures show is told in `colposcopy`; broken copies for tests are made by `corrupt`.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor
from cervix_tf.atomic import replacing
from cervix_tf.data.synthetic import colposcopy
from cervix_tf.data.synthetic.colposcopy import CLASSES, VIEWS, Box
from cervix_tf.data.synthetic.corrupt import corrupt
from cervix_tf.errors import InputError

__all__ = ["CLASSES", "VIEWS", "corrupt", "evidence", "write"]

EVIDENCE_COLUMNS = ("visit", "view", "x0", "y0", "x1", "y1")
_SMALLEST = 48
_QUALITY = 90
_README = """\
SYNTHETIC IMAGES. No woman was photographed; every picture here was drawn by cervix_tf.

They have the layout of a data set of colposcopy visits, so that the whole way from
images to a report can be tried without medical data. What is measured on them says
that software works; it says nothing about women, and no model trained on them may
be used for diagnosis.

{visits} visits of 7 images, {width} x {height} pixels, seed {seed}.
Classes: {classes}.

<train or test>/<class>/<visit>/<visit>_<1 to 7>.jpg: 1 to 5 after acetic acid, 6 through
the green lens, 7 after iodine.

evidence.csv: for each image in which something tells the class, the box around it in
pixels (x1 and y1 are just outside). Images that are not listed show no sign of disease,
or mucus or blood covers it.
"""


def write(
    root: Path,
    *,
    visits: int | Mapping[str, int],
    seed: int,
    height: int = 480,
    width: int = 640,
    test_share: float = 0.25,
    workers: int = 0,
) -> None:
    """Draw `visits` visits (evenly over the classes, or so many of each class) into the new folder `root`.

    `test_share` of each class goes to `test/`, rounded. The files are the same, byte for
    byte, for the same arguments, whatever the number of `workers` (threads; 0 = one per core).
    The folder appears only when it is whole.

    Raises `InputError` when `root` holds something already, or the arguments make no set.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: exists and is not empty; remove it, or choose another folder for synthetic visits")
    counts = _counts(visits)
    if min(height, width) < _SMALLEST:
        raise InputError(f"synthetic visits of {width} x {height} pixels: make each side at least {_SMALLEST}")
    if seed < 0:
        raise InputError(f"seed {seed}: is negative; give 0 or more")
    if not 0 <= test_share <= 1:
        raise InputError(f"test share {test_share}: is not between 0 and 1")

    plan = _plan(counts, test_share, seed)
    with replacing(root) as part, _one_thread_each(), ThreadPoolExecutor(workers or processor.here().cores) as pool:
        part.mkdir()
        rows = list(pool.map(lambda visit: _write_visit(part, visit, seed, (height, width)), plan))
        with (part / "evidence.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(EVIDENCE_COLUMNS)
            table.writerows(row for boxes in rows for row in boxes)
        classes = ", ".join(f"{at} = {name} ({counts[name]} visits)" for at, name in enumerate(CLASSES))
        text = _README.format(visits=len(plan), width=width, height=height, seed=seed, classes=classes)
        (part / "README.txt").write_text(text, encoding="utf-8")


def evidence(root: Path) -> dict[str, dict[str, Box]]:
    """Visit -> view -> the box around what tells the class, of a folder that `write` drew.

    Visits and views without any are not there.
    """
    found: dict[str, dict[str, Box]] = {}
    with (root / "evidence.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (int(row[name]) for name in EVIDENCE_COLUMNS[2:])
            found.setdefault(row["visit"], {})[row["view"]] = (x0, y0, x1, y1)
    return found


@dataclass(frozen=True)
class _Planned:
    """A visit that is to be drawn."""

    number: int
    label: str
    split: str

    @property
    def folder(self) -> str:
        """Relative to the root; the importer names the case so."""
        return f"{self.split}/{CLASSES.index(self.label)}/{self.number:04d}"


def _counts(visits: int | Mapping[str, int]) -> dict[str, int]:
    if isinstance(visits, int):
        counts = {name: (visits + len(CLASSES) - 1 - at) // len(CLASSES) for at, name in enumerate(CLASSES)}
    else:
        counts = dict.fromkeys(CLASSES, 0) | dict(visits)
    unknown = set(counts) - set(CLASSES)
    if unknown:
        raise InputError(f"synthetic visits of class {sorted(unknown)[0]!r}: the classes are {', '.join(CLASSES)}")
    if min(counts.values()) < 0 or not any(counts.values()):
        raise InputError(f"{visits} synthetic visits: draw at least one, and no negative number of any class")
    return counts


def _plan(counts: dict[str, int], test_share: float, seed: int) -> list[_Planned]:
    """Every visit; numbers are dealt at random, so that they tell neither class nor part."""
    places = [
        (name, "test" if at < round(counts[name] * test_share) else "train")
        for name in CLASSES
        for at in range(counts[name])
    ]
    order = np.random.default_rng([seed, len(places)]).permutation(len(places))  # no visit has this number
    return [_Planned(number, *places[place]) for number, place in enumerate(order)]


def _write_visit(root: Path, visit: _Planned, seed: int, shape: tuple[int, int]) -> list[tuple]:
    """Write the seven images; returns their lines of evidence.csv."""
    drawn = colposcopy.draw(seed, visit.number, visit.label, shape)
    folder = root / visit.folder
    folder.mkdir(parents=True)
    for at, image in enumerate(drawn.images.values(), start=1):
        jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        (folder / f"{visit.number:04d}_{at}.jpg").write_bytes(jpeg.tobytes())
    return [(visit.folder, view, *box) for view, box in drawn.evidence.items()]


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenCV without threads of its own: visits are drawn in parallel already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
