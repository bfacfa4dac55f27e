"""Folders of synthetic Pap-smear cells in the layouts of SIPaKMeD and of CRIC's crops: eleven classes.

`sipakmed/im_<Class>/im_<Class>/CROPPED/NNN_MM.bmp`: a whole cell, NNN the picture of its
cluster, which starts at 001 in every class. `cric_crops/<class>/<field>_<cell>.png`: what
lies around a nucleus; a field has cells of several classes.

What tells the class is what tells it on a slide: the nucleus' size, darkness, chromatin
and outline, its share of the cell, a halo about it, and the cytoplasm's color and shape.
Every one of these varies within a class more or less into its neighbors (ASC-US into
NILM and LSIL). Stain, light, focus, neighboring cells and leucocytes tell nothing; stain
and light are those of the cluster or field, so a split that parts these leaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor
from cervix_tf.atomic import replacing
from cervix_tf.data.synthetic import drawing
from cervix_tf.errors import InputError

__all__ = ["CRIC", "SIPAKMED", "draw", "write"]

_PER_CLUSTER, _PER_FIELD = 4, 4  # cells; SIPaKMeD has 4.2 a cluster, CRIC 29 a field: too few fields here
_README = """\
SYNTHETIC IMAGES. No woman was examined; every picture here was drawn by cervix_tf.

{cells} cells of each of {classes} classes, seed {seed}, in the layouts of SIPaKMeD and of CRIC's
crops. What is measured on them says that software works; it says nothing about women,
and no model trained on them may be used for diagnosis.
"""


@dataclass(frozen=True)
class Look:
    """How cells of a class look; lengths are image heights, shares in [0, 1]."""

    nucleus: float
    """Radius."""
    cell: float
    """Radius of the cytoplasm."""
    dark: float
    """How much of the light the nucleus takes."""
    coarse: float = 0.05
    """Unevenness of the chromatin."""
    ragged: float = 0.03
    """Unevenness of the nucleus' outline, in radii."""
    long: float = 1.15
    """Length of the nucleus over its width."""
    angular: float = 0.06
    """Unevenness of the cell's outline, in radii."""
    halo: float = 0.0
    """How clear the zone about the nucleus is."""
    dense: float = 0.45
    """How much of its color the cytoplasm takes."""
    vacuoles: float = 0.0
    """How clear the bubbles in the cytoplasm are."""
    twin: float = 0.0
    """Probability of a second nucleus."""
    colors: tuple[str, ...] = ("pink", "blue")
    """What the cytoplasm may be stained."""


SIPAKMED = {
    "Dyskeratotic": Look(0.11, 0.34, 0.8, 0.2, 0.1, 1.3, 0.18, dense=0.85, twin=0.4, colors=("orange",)),
    "Koilocytotic": Look(0.11, 0.43, 0.62, 0.15, 0.08, 1.2, 0.14, halo=0.85, twin=0.3),
    "Metaplastic": Look(0.14, 0.38, 0.5, 0.1, 0.04, 1.1, 0.12, dense=0.6, vacuoles=0.6, colors=("blue", "violet")),
    "Parabasal": Look(0.16, 0.34, 0.45, 0.08, 0.03, 1.1, 0.04, dense=0.65, colors=("blue", "violet")),
    "Superficial-Intermediate": Look(0.06, 0.45, 0.75, 0.05, 0.03, 1.1, 0.2, dense=0.35),
}
CRIC = {
    "ASC-H": Look(0.14, 0.24, 0.68, 0.18, 0.08, 1.2, dense=0.55, colors=("blue", "violet")),
    "ASC-US": Look(0.135, 0.55, 0.55, 0.12, 0.05, 1.15),
    "SCC": Look(0.19, 0.3, 0.92, 0.45, 0.22, 1.7, 0.2, dense=0.7, colors=("orange", "violet", "pink")),
    "HSIL": Look(0.19, 0.28, 0.8, 0.35, 0.14, 1.25, dense=0.5, colors=("blue", "violet")),
    "LSIL": Look(0.175, 0.55, 0.66, 0.22, 0.08, 1.2, halo=0.45, twin=0.2),
    "NILM": Look(0.09, 0.55, 0.5, 0.04, 0.03, 1.1),
}
_COLORS = {
    "pink": (226.0, 158.0, 178.0),
    "blue": (142.0, 184.0, 188.0),
    "violet": (168.0, 150.0, 190.0),
    "orange": (232.0, 140.0, 78.0),
}
_NUCLEUS = (58.0, 42.0, 92.0)
_PAPER = (232.0, 230.0, 226.0)


def write(root: Path, *, cells: int, seed: int, size: int = 96) -> None:
    """Draw `cells` cells of every class into the new folder `root`, `sipakmed` and `cric_crops` below it.

    The files are the same, byte for byte, for the same arguments. The folder appears only when it is whole.

    Raises `InputError` when `root` exists, or there is less than one cell per class.
    """
    root = Path(root)
    if root.exists():
        raise InputError(f"{root}: exists; remove it, or choose another folder for synthetic cells")
    if cells < 1:
        raise InputError(f"{cells} synthetic cells per class: draw at least one")
    with replacing(root) as part, ThreadPoolExecutor(processor.here().cores) as pool:
        for name in SIPAKMED:
            (part / "sipakmed" / f"im_{name}" / f"im_{name}" / "CROPPED").mkdir(parents=True)
        for name in CRIC:
            (part / "cric_crops" / name).mkdir(parents=True)

        def drawn(place: tuple[str, int, str, int]) -> None:
            file, place_number, label, number = place
            image = draw(seed, place_number, label, number, size)
            (part / file).write_bytes(cv2.imencode(Path(file).suffix, image[..., ::-1])[1].tobytes())

        list(pool.map(drawn, _places(cells, seed)))  # so that an error is raised here
        classes = len(SIPAKMED) + len(CRIC)
        text = _README.format(cells=cells, classes=classes, seed=seed)
        (part / "README.txt").write_text(text, encoding="utf-8")


def _places(cells: int, seed: int) -> Iterator[tuple[str, int, str, int]]:
    """File, number of its cluster or field over all, class, and number of the cell over all."""
    number = place = 0
    for name in SIPAKMED:
        for at in range(cells):
            cluster = at // _PER_CLUSTER
            file = f"sipakmed/im_{name}/im_{name}/CROPPED/{cluster + 1:03d}_{at % _PER_CLUSTER + 1:02d}.bmp"
            yield file, place + cluster, name, number + at
        number, place = number + cells, place + -(-cells // _PER_CLUSTER)
    labels = [name for name in CRIC for _ in range(cells)]
    dealt = np.random.default_rng([seed, len(labels)]).permutation(len(labels))
    for at, which in enumerate(dealt):
        field = at // _PER_FIELD
        yield f"cric_crops/{labels[which]}/{field + 1}_{at + 1}.png", place + field, labels[which], number + at


def draw(seed: int, place: int, label: str, number: int, size: int = 96) -> np.ndarray:
    """One cell of the class `label`, (size, size, 3) uint8 RGB; `place` is its cluster or field.

    Cells of one place share stain and light.
    """
    shared, rng = np.random.default_rng([seed, place, 0]), np.random.default_rng([seed, number, 1])
    stain = shared.uniform(0.86, 1.08) * shared.uniform(0.93, 1.07, 3)
    thick, focus = shared.uniform(0.85, 1.15), shared.uniform(0.2, 1.0)
    whole = label in SIPAKMED
    look = (SIPAKMED if whole else CRIC)[label]
    shape = (size, size)

    picture = np.empty((3, *shape), np.float32)
    picture[:] = np.asarray(_PAPER, np.float32).reshape(3, 1, 1)
    for _ in range(int(rng.integers(0, 3)) + (not whole)):
        _neighbor(rng, picture)
    center = rng.uniform(-0.04, 0.04, 2)
    cytoplasm = _blob(rng, shape, center, look.cell * rng.normal(1, 0.08), 1.1, look.angular, 0.03)
    color = _COLORS[str(rng.choice(look.colors))]
    grain = 1 + np.float32(0.12) * drawing.fractal(rng, shape, 7)
    drawing.blend(picture, color, np.clip(cytoplasm * np.float32(look.dense * thick) * grain, 0, 1))
    for _ in range(int(rng.integers(2, 5)) if look.vacuoles else 0):
        away = rng.normal(0, 0.5 * look.cell, 2)
        bubble = _blob(rng, shape, center + away, rng.uniform(0.03, 0.06), 1.1, 0.05, 0.03) * cytoplasm
        drawing.blend(picture, _PAPER, bubble * np.float32(look.vacuoles))
    radius = look.nucleus * float(np.clip(rng.normal(1, 0.13), 0.7, 1.3))
    if look.halo:
        ring = _blob(rng, shape, center, radius * rng.uniform(1.7, 2.3), 1.1, 0.08, 0.04)
        drawing.blend(picture, _PAPER, ring * np.float32(look.halo * rng.uniform(0.6, 1.0)))
    twin = rng.random() < look.twin
    turn = rng.uniform(0, 2 * np.pi)
    apart = np.array([np.cos(turn), np.sin(turn)]) * radius * 0.9 * twin
    for side in (1, -1) if twin else (1,):
        nucleus = _blob(
            rng, shape, center + side * apart, radius, look.long * rng.uniform(0.95, 1.1), look.ragged, 0.02
        )
        chromatin = 1 + np.float32(look.coarse) * drawing.fractal(rng, shape, 14, 2)
        dark = np.float32(float(np.clip(rng.normal(look.dark, 0.07), 0.25, 0.98)))
        drawing.blend(picture, _NUCLEUS, np.clip(nucleus * dark * chromatin, 0, 1))
    for _ in range(int(rng.integers(0, 4))):
        _leucocyte(rng, picture)
    picture *= stain.astype(np.float32).reshape(3, 1, 1)
    image = cv2.merge([np.clip(plane, 0, 255) for plane in picture])
    image = cv2.GaussianBlur(image, (0, 0), 0.006 * size * focus + 0.2)
    return np.clip(np.rint(image + rng.normal(0, 2.5, image.shape)), 0, 255).astype(np.uint8)


def _blob(
    rng: np.random.Generator,
    shape: tuple[int, int],
    center: np.ndarray,
    radius: float,
    long: float,
    uneven: float,
    edge: float,
) -> np.ndarray:
    """Cover of a turned ellipse with an uneven outline, (height, width) float32 in [0, 1]."""
    x, y = drawing.grid(shape)
    x, y = x - np.float32(center[0]), y - np.float32(center[1])
    turn = drawing.rotation(rng.uniform(0, np.pi)).astype(np.float32)
    across, down = x * turn[0, 0] + y * turn[1, 0], x * turn[0, 1] + y * turn[1, 1]
    stretch = np.float32(np.sqrt(long))
    distance = np.hypot(across / stretch, down * stretch) / np.float32(radius)
    cells = max(2, round(0.7 / radius))  # bumps about as large as the ellipse, however small that is
    return drawing.step(distance + np.float32(2 * uneven) * drawing.noise(rng, shape, cells), 1.0, edge / radius)


def _neighbor(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Part of another cell at the border; its nucleus, if any, is out of the picture."""
    turn = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.55, 0.75)
    cover = _blob(rng, picture.shape[1:], away, rng.uniform(0.2, 0.35), 1.2, 0.1, 0.03)
    drawing.blend(picture, _COLORS[str(rng.choice(["pink", "blue", "violet"]))], cover * np.float32(0.4))


def _leucocyte(rng: np.random.Generator, picture: np.ndarray) -> None:
    """A small dark lobed nucleus anywhere but in the middle."""
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
    center = np.array([np.cos(turn), np.sin(turn)]) * away
    cover = np.zeros(picture.shape[1:], np.float32)
    for lobe in rng.normal(0, 0.018, (3, 2)):
        cover = np.maximum(cover, _blob(rng, picture.shape[1:], center + lobe, 0.018, 1.1, 0.03, 0.01))
    drawing.blend(picture, _NUCLEUS, cover * np.float32(0.75))
