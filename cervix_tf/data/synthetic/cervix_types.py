"""Synthetic photographs of cervices of types 1, 2 and 3 in the layout of Intel & MobileODT's Kaggle data.

The type says where the transformation zone lies, which its inner border, the red columnar
epithelium, shows: type 1 all round the os on the outer cervix, type 2 on one side, the
rest having gone into the canal, type 3 wholly in the canal, out of sight. All else
(anatomy, light, glare, text, swabs, speculum, mucus, blood) does not know the type.

As in the original, a part of the photographs are near-duplicates of another (the same woman
a moment later), a few women lie in the wrong class folder, which `fixed_labels_v2.csv` corrects,
and a few show nothing, which `removed_files.csv` names.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor
from cervix_tf.atomic import replacing
from cervix_tf.data.synthetic import colposcopy, drawing, nuisance
from cervix_tf.data.synthetic.colposcopy import Anatomy
from cervix_tf.errors import InputError

CLASSES = ("Type_1", "Type_2", "Type_3")
_VIEW = "acetic"
_JUNCTION: drawing.Color = (246, 226, 218)
_SHOTS = (0.55, 0.3, 0.15)  # probabilities of one, two and three photographs of a woman
_MISFILED, _USELESS = 0.04, 0.02
_README = """\
SYNTHETIC IMAGES. No woman was photographed; every picture here was drawn by cervix_tf.

{women} women, {images} images of {side} x {side} pixels, seed {seed}. What is measured on them
says that software works; it says nothing about women, and no model trained on them may be
used for diagnosis.
"""


def write(root: Path, *, women: int, seed: int, side: int = 160) -> None:
    """Draw one to three near-identical photographs of each of `women` women into the new folder `root`.

    A third of the women, rounded, have each type. Types, file numbers and the folders train and
    additional are dealt at random, so that they tell nothing. The files are the same, byte for
    byte, for the same arguments. The folder appears only when it is whole.

    Raises `InputError` when `root` holds something already, or there are fewer than twelve women.
    """
    root = Path(root)
    if root.exists():
        raise InputError(f"{root}: exists; remove it, or choose another folder for synthetic photographs")
    if women < 12:
        raise InputError(f"{women} synthetic women: draw at least twelve, four of each type")
    rng = np.random.default_rng([seed, women])
    types = rng.permutation(np.arange(women) % len(CLASSES))
    shots = rng.choice(np.arange(1, len(_SHOTS) + 1), women, p=_SHOTS)
    wrong = (types + rng.integers(1, len(CLASSES), women)) % len(CLASSES)  # where a misfiled woman lies
    fate = rng.permutation(women)
    folders = np.where(fate < max(1, round(_MISFILED * women)), wrong, types)
    useless = fate >= women - max(1, round(_USELESS * women))
    first = np.concatenate([[0], np.cumsum(shots)])
    numbers = rng.permutation(first[-1])
    added = rng.random(first[-1]) < 0.5

    def files(woman: int) -> list[str]:
        """Paths of her photographs."""
        name = CLASSES[folders[woman]]
        found = []
        for at in range(first[woman], first[woman + 1]):
            folder = f"additional_{name}_v2" if added[at] else "train/train"
            found.append(f"{folder}/{name}/{numbers[at]}.jpg")
        return found

    with replacing(root) as part, ThreadPoolExecutor(processor.here().cores) as pool:
        for path in {Path(file).parent for woman in range(women) for file in files(woman)}:
            (part / path).mkdir(parents=True)

        def photograph(woman: int) -> None:
            pictures = draw(seed, woman, CLASSES[types[woman]], int(shots[woman]), (side, side))
            for at, (file, picture) in enumerate(zip(files(woman), pictures, strict=True)):
                shown = cv2.GaussianBlur(picture, (0, 0), side / 6) if useless[woman] else picture
                jpeg = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92 - 6 * at])[1]
                (part / file).write_bytes(jpeg.tobytes())

        list(pool.map(photograph, range(women)))
        misfiled = [
            (Path(file).name, CLASSES[folders[woman]], CLASSES[types[woman]])
            for woman in np.flatnonzero(folders != types).tolist()
            for file in files(woman)
        ]
        _write_table(part / "fixed_labels_v2.csv", ("filename", "old_label", "new_label"), misfiled)
        removed = [(Path(file).name,) for woman in np.flatnonzero(useless).tolist() for file in files(woman)]
        _write_table(part / "removed_files.csv", ("filename",), removed)
        text = _README.format(women=women, images=first[-1], side=side, seed=seed)
        (part / "README.txt").write_text(text, encoding="utf-8")


def draw(seed: int, woman: int, label: str, shots: int, shape: tuple[int, int]) -> list[np.ndarray]:
    """`shots` photographs, (height, width, 3) uint8 RGB, of the woman with this number if she were of type `label`.

    They are near-duplicates: a breath, a shade of light apart. The same seed and number give the
    same cervix and the same circumstances whatever the type.
    """
    anatomy_rng, zone_rng, nuisance_rng, moment_rng = np.random.default_rng([seed, woman]).spawn(4)
    anatomy = colposcopy.anatomy_of(anatomy_rng, shape)
    red, junction = _zone(zone_rng, anatomy, label)
    seen = nuisance.draw(nuisance_rng, (_VIEW,), shape, anatomy.center, anatomy.radius, np.zeros(shape, np.float32))
    picture = colposcopy.stained(replace(anatomy, columnar=red), _VIEW)
    drawing.blend(picture, _JUNCTION, junction)
    drawing.blend(picture, colposcopy.PALETTES[_VIEW]["os"], anatomy.os)
    picture *= anatomy.light
    first = seen[_VIEW].applied(picture, colposcopy.PALETTES[_VIEW])
    return [first, *(_moment_later(moment_rng, first) for _ in range(shots - 1))]


def _zone(rng: np.random.Generator, anatomy: Anatomy, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Covers, (height, width) float32, of the columnar epithelium in sight and of the pale junction round it."""
    shape = anatomy.cervix.shape
    reach, side, opening, strength = rng.uniform((0.4, -np.pi, 0.7, 0.75), (0.62, np.pi, 1.2, 1.0))
    wavy = np.hypot(anatomy.x, anatomy.y) + np.float32(0.08) * drawing.fractal(rng, shape, 7, 2)
    if label == "Type_3":
        nothing = np.zeros(shape, np.float32)
        return nothing, nothing
    red, rim = drawing.step(wavy, reach, 0.08), np.exp(-(((wavy - np.float32(reach)) / 0.04) ** 2))
    if label == "Type_2":
        away = np.abs((np.arctan2(anatomy.y, anatomy.x) - side + np.pi) % (2 * np.pi) - np.pi)
        sector = drawing.step(away.astype(np.float32), opening, 0.3)
        red, rim = red * sector, rim * sector
    return red * np.float32(strength), (rim * anatomy.cervix * np.float32(0.4)).astype(np.float32)


def _moment_later(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The photograph again: shifted by up to 0.6 % of its height, up to 4 % lighter or darker."""
    height, width = picture.shape[:2]
    shift = np.column_stack([np.eye(2), rng.uniform(-0.006, 0.006, 2) * height])
    moved = cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return cv2.convertScaleAbs(moved, alpha=rng.uniform(0.96, 1.04))


def _write_table(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
