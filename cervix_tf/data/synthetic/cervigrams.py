"""A folder of synthetic cervigrams with a table: case and control women, a few acetic acid images of each.

`<woman>_<1, 2, ...>.jpg` beside `cervigrams.csv` with the columns path, label, woman,
age: what a user of the metric learning study brings. Cases show CIN2-3, controls no
lesion or CIN1, so that whitening alone does not tell them apart. One woman in twenty
has no age.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor
from cervix_tf.atomic import replacing
from cervix_tf.data.synthetic import colposcopy
from cervix_tf.errors import InputError

COLUMNS = ("path", "label", "woman", "age")
_QUALITY = 90
_VIEWS = ("acetic_2", "acetic_3", "acetic_4")
_README = """\
SYNTHETIC IMAGES. No woman was photographed; every picture here was drawn by cervix_tf.

{women} women, {images} images of {width} x {height} pixels, seed {seed}. What is measured on
them says that software works; it says nothing about women, and no model trained on them
may be used for diagnosis.
"""


def write(root: Path, *, women: int, seed: int, case_share: float = 0.35, height: int = 240, width: int = 320) -> None:
    """Draw two or three images of each of `women` women into the new folder `root`.

    The first `case_share` of them, rounded, are cases; numbers are dealt at random, so
    that they tell nothing. The files are the same, byte for byte, for the same arguments.
    The folder appears only when it is whole.

    Raises `InputError` when `root` holds something already, or there are fewer than four women.
    """
    root = Path(root)
    if root.exists():
        raise InputError(f"{root}: exists; remove it, or choose another folder for synthetic cervigrams")
    if women < 4:
        raise InputError(f"{women} synthetic women: draw at least four, cases and controls")
    rng = np.random.default_rng([seed, women])
    cases = set(rng.permutation(women)[: round(case_share * women)].tolist())
    with replacing(root) as part, ThreadPoolExecutor(processor.here().cores) as pool:
        part.mkdir()
        drawn = pool.map(lambda woman: _write_woman(part, woman, woman in cases, seed, (height, width)), range(women))
        rows = [row for of_woman in drawn for row in of_woman]
        with (part / "cervigrams.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(rows)
        text = _README.format(women=women, images=len(rows), width=width, height=height, seed=seed)
        (part / "README.txt").write_text(text, encoding="utf-8")


def _write_woman(root: Path, woman: int, case: bool, seed: int, shape: tuple[int, int]) -> list[tuple]:
    """Write her images; returns their lines of cervigrams.csv."""
    rng = np.random.default_rng([seed, woman, 1])  # what does not touch the pictures
    control, count = str(rng.choice(["normal", "cin1"])), int(rng.integers(2, 4))
    age = "" if rng.random() < 0.05 else str(int(rng.integers(18, 75)))
    visit = colposcopy.draw(seed, woman, "cin2_3" if case else control, shape)
    rows = []
    for at, view in enumerate(_VIEWS[:count], start=1):
        jpeg = cv2.imencode(".jpg", visit.images[view][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        path = f"{woman:04d}_{at}.jpg"
        (root / path).write_bytes(jpeg.tobytes())
        rows.append((path, "case" if case else "control", f"woman {woman:04d}", age))
    return rows
