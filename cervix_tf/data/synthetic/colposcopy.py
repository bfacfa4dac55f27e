"""One synthetic colposcopy visit: seven pictures of one cervix, and where its class can be seen.

What a class shows, in the manner of colposcopy:

| class | acetic acid (whitening) | green lens (vessels) | iodine |
|---|---|---|---|
| normal | none | fine | brown |
| cin1 | thin, small, soft border | fine | mustard-yellow patch |
| cin2_3 | dense, large, sharp border | coarse punctation or mosaic | mustard-yellow patch |
| cancer | dense, large, sharp border | corkscrew, on dark friable tissue | large, ragged, uncolored |

Each kind of view shows two of the four classes alike, to the last pixel of a visit:
alone it is right about at most three visits in four, any two together can be right
about all. Everything else (anatomy, light, glare, text, swabs, speculum, mucus, blood,
benign whitening, and what covers the lesion in some views) is drawn from random
streams that the class does not touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cervix_tf.data.synthetic import drawing, nuisance
from cervix_tf.data.synthetic.drawing import Color

CLASSES = ("normal", "cin1", "cin2_3", "cancer")
VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 are just outside."""

PALETTES: dict[str, dict[str, Color]] = {  # stain -> tissue -> color
    "acetic": {
        "wall": (178, 92, 92), "cervix": (222, 140, 134), "columnar": (200, 84, 78), "os": (70, 18, 24),
        "blood": (128, 14, 18), "mucus": (206, 196, 160), "cotton": (236, 232, 226),
    },
    "green": {
        "wall": (72, 112, 104), "cervix": (128, 184, 168), "columnar": (96, 138, 126), "os": (22, 40, 36),
        "blood": (44, 42, 40), "mucus": (146, 184, 150), "cotton": (196, 236, 222),
    },
    "iodine": {
        "wall": (122, 54, 28), "cervix": (112, 44, 18), "columnar": (176, 84, 50), "os": (46, 12, 8),
        "blood": (74, 10, 10), "mucus": (152, 122, 100), "cotton": (150, 86, 40),
    },
}  # fmt: skip
_WHITE: Color = (246, 240, 234)
_PALE_GREEN: Color = (176, 218, 204)
_VESSEL: Color = (34, 44, 42)
_MUSTARD: Color = (222, 168, 62)
_UNCOLORED: Color = (226, 164, 142)
_WHITENING = {  # share of the full whitening in the five frames: it comes, and goes again, thin epithelium first
    "thin": (0.65, 1.0, 1.0, 0.85, 0.7),
    "dense": (0.7, 0.95, 1.0, 1.0, 0.9),
}


@dataclass(frozen=True)
class Visit:
    """Seven pictures of one cervix."""

    images: dict[str, np.ndarray]
    """View -> (height, width, 3) uint8 RGB, in the order of `VIEWS`."""
    evidence: dict[str, Box]
    """View -> box around what tells the class in it; views that show none, or in which it is covered, are not there."""
    masks: dict[str, np.ndarray]
    """View -> where in it that is, (height, width) bool; of the same views."""


def draw(seed: int, visit: int, label: str, shape: tuple[int, int]) -> Visit:
    """The visit with this number, as it would look if the woman were of class `label`; `shape` = (height, width).

    The same seed and visit give the same cervix and the same nuisance whatever the label.
    """
    anatomy_rng, lesion_rng, nuisance_rng = np.random.default_rng([seed, visit]).spawn(3)
    anatomy = anatomy_of(anatomy_rng, shape)
    lesion = _lesion(lesion_rng, anatomy)
    circumstances = nuisance.draw(nuisance_rng, VIEWS, shape, anatomy.center, anatomy.radius, lesion.cover)
    tissue = {stain: stained(anatomy, stain) for stain in PALETTES}
    images, evidence, masks = {}, {}, {}
    for at, view in enumerate(VIEWS):
        stain = view.partition("_")[0]
        picture = tissue[stain].copy()
        region = _paint_evidence(picture, lesion, label, stain, at)
        drawing.blend(picture, PALETTES[stain]["os"], anatomy.os)
        picture *= anatomy.light
        images[view] = circumstances[view].applied(picture, PALETTES[stain])
        seen = circumstances[view].moved(region)
        if seen.any() and not circumstances[view].covered:
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            evidence[view] = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
            masks[view] = seen > 0
    return Visit(images, evidence, masks)


@dataclass(frozen=True)
class Anatomy:
    """A healthy cervix; fields are (height, width) float32."""

    center: np.ndarray
    """x, y in heights from the middle of the image."""
    radius: float
    """Heights."""
    x: np.ndarray
    """Distance from the os along the cervix' long axis, in radii."""
    y: np.ndarray
    """The same across it."""
    cervix: np.ndarray
    """1 on the cervix, 0 on the walls."""
    columnar: np.ndarray
    """Cover of the red columnar epithelium about the os."""
    os: np.ndarray
    """Cover of the opening."""
    benign: np.ndarray
    """Cover of the thin whitening of immature metaplasia, which is no disease; mostly none."""
    vessels: np.ndarray
    """Cover of the fine vessels that every cervix has."""
    uptake: np.ndarray
    """Unevenness of the iodine, about 0."""
    light: np.ndarray
    """Factor: texture, roundness and light."""


def anatomy_of(rng: np.random.Generator, shape: tuple[int, int]) -> Anatomy:
    """A healthy cervix in an image of `shape` = (height, width), drawn at random."""
    center = rng.uniform(-0.05, 0.05, 2)
    radius = float(rng.uniform(0.36, 0.45))
    image_x, image_y = drawing.grid(shape)
    from_x, from_y = (image_x - np.float32(center[0])) / radius, (image_y - np.float32(center[1])) / radius
    turn = drawing.rotation(rng.uniform(-0.4, 0.4)).astype(np.float32)
    x = from_x * turn[0, 0] + from_y * turn[1, 0]
    y = (from_x * turn[0, 1] + from_y * turn[1, 1]) * np.float32(rng.uniform(0.95, 1.15))
    wobble = drawing.fractal(rng, shape, 4, 2)
    distance = np.sqrt(x * x + y * y) + np.float32(0.05) * wobble
    cervix = drawing.step(distance, 1.0, 0.12)

    slit = rng.uniform((0.08, 0.03), (0.22, 0.06))
    bend = np.float32(rng.uniform(-1.5, 1.5))
    opening = np.hypot(x / np.float32(slit[0]), (y - bend * x * x) / np.float32(slit[1]))
    red = drawing.step(distance + np.float32(0.12) * drawing.noise(rng, shape, 9), rng.uniform(0.0, 0.3), 0.1)
    ring = np.abs(distance + np.float32(0.1) * wobble - np.float32(rng.uniform(0.15, 0.3)))
    has_ring, strength = rng.random() < 0.15, rng.uniform(0.1, 0.25)

    texture = 0.07 * drawing.fractal(rng, shape, 10) + 0.04 * drawing.noise(rng, shape, 90)
    folds = 0.12 * drawing.fractal(rng, shape, 7) * (1 - cervix)
    groove = 0.35 * np.exp(-(((distance - 1.05) / 0.1) ** 2))
    round_ = 1.05 - 0.22 * np.minimum(distance, 1.6) ** 2
    slope = rng.uniform(-0.25, 0.25, 2)
    light = (1 + texture + folds - groove) * round_ * (1 + slope[0] * image_x + slope[1] * image_y)
    return Anatomy(
        center=center,
        radius=radius,
        x=x,
        y=y,
        cervix=cervix,
        columnar=red * np.float32(rng.uniform(0.5, 0.9)),
        os=drawing.step(opening, 1.0, 0.6) * np.float32(0.9),
        benign=drawing.step(ring, 0.07, 0.08) * np.float32(strength * has_ring),
        vessels=_fine_vessels(rng, shape, center, radius) * cervix,
        uptake=drawing.fractal(rng, shape, 5),
        light=np.clip(light, 0.15, 1.3).astype(np.float32),
    )


def _fine_vessels(rng: np.random.Generator, shape: tuple[int, int], center: np.ndarray, radius: float) -> np.ndarray:
    """Cover of thin lines that wander outwards from the os."""
    lines = []
    for _ in range(16):
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 12))
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (0.055 * radius)
        start = center + steps[0] * rng.uniform(4, 10)
        lines.append((start + np.cumsum(steps, axis=0), 0.004))
    return drawing.strokes(shape, lines) * np.float32(0.4)


def stained(anatomy: Anatomy, stain: str) -> np.ndarray:
    """Healthy tissue after one preparation, (3, height, width), before light falls on it."""
    colors = PALETTES[stain]
    picture = np.empty((3, *anatomy.cervix.shape), np.float32)
    picture[:] = np.asarray(colors["wall"], np.float32).reshape(3, 1, 1)
    drawing.blend(picture, colors["cervix"], anatomy.cervix)
    if stain == "iodine":
        picture *= 1 + np.float32(0.2) * anatomy.uptake
    drawing.blend(picture, colors["columnar"], anatomy.columnar)
    if stain == "acetic":
        drawing.blend(picture, _WHITE, anatomy.benign)
    if stain == "green":
        drawing.blend(picture, _VESSEL, anatomy.vessels)
    return picture


@dataclass(frozen=True)
class _Lesion:
    """What disease would look like at one place of this cervix; fields are covers, (height, width) float32."""

    thin: np.ndarray
    dense: np.ndarray
    coarse: np.ndarray
    corkscrew: np.ndarray
    friable: np.ndarray
    yellow: np.ndarray
    ragged: np.ndarray
    cover: np.ndarray
    """Where mucus or blood has to lie to hide it."""


def _lesion(rng: np.random.Generator, anatomy: Anatomy) -> _Lesion:
    shape = anatomy.cervix.shape
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.25)
    x, y = anatomy.x - np.float32(away * np.cos(angle)), anatomy.y - np.float32(away * np.sin(angle))
    distance = np.sqrt(x * x + y * y)
    wavy = distance + np.float32(0.1) * drawing.fractal(rng, shape, 5, 2)
    torn = distance + np.float32(0.22) * drawing.fractal(rng, shape, 7)
    small, large, patch, wide = rng.uniform((0.36, 0.54, 0.4, 0.62), (0.48, 0.68, 0.55, 0.78))
    dense = drawing.step(wavy, large, 0.05) * anatomy.cervix

    dots = drawing.lattice(rng, 0.075, 0.18)
    punctation = drawing.discs(shape, dots, rng.uniform(0.014, 0.021, len(dots)))
    mosaic = drawing.cell_borders(shape, drawing.lattice(rng, 0.1, 0.22), 0.016)
    is_mosaic = rng.random() < 0.5
    middle = anatomy.center + away * anatomy.radius * np.array([np.cos(angle), np.sin(angle)])
    blotches = drawing.step(-drawing.fractal(rng, shape, 9, 2), 0.0, 0.5)
    return _Lesion(
        thin=drawing.step(wavy, small, 0.15) * anatomy.cervix * np.float32(0.65),
        dense=dense,
        coarse=(mosaic if is_mosaic else punctation) * dense,
        corkscrew=_corkscrews(rng, shape, middle, anatomy.radius * large) * dense,
        friable=blotches * dense,
        yellow=drawing.step(wavy, patch, 0.08) * anatomy.cervix * np.float32(0.9),
        ragged=drawing.step(torn, wide, 0.05) * np.float32(0.92),
        cover=np.maximum(drawing.step(wavy, large + 0.1, 0.2), drawing.step(torn, wide + 0.1, 0.2)),
    )


def _corkscrews(rng: np.random.Generator, shape: tuple[int, int], middle: np.ndarray, radius: float) -> np.ndarray:
    """Cover of thick winding lines of uneven calibre about `middle`."""
    lines = []
    along = np.linspace(-0.5, 0.5, 40)
    for _ in range(11):
        length, swing, turns, width = rng.uniform((0.16, 0.018, 2, 0.012), (0.3, 0.03, 4, 0.022))
        winding = np.stack([along * length, swing * np.sin(2 * np.pi * turns * along + rng.uniform(0, 6))], axis=1)
        place = middle + rng.uniform(-0.75, 0.75, 2) * radius
        lines.append((winding @ drawing.rotation(rng.uniform(0, np.pi)) + place, width))
    return drawing.strokes(shape, lines)


def _paint_evidence(picture: np.ndarray, lesion: _Lesion, label: str, stain: str, frame: int) -> np.ndarray:
    """Paint what the class shows in this view; returns where it did, (height, width) uint8, 0 elsewhere."""
    none = np.zeros(picture.shape[1:], np.uint8)
    if label == "normal" or (stain == "green" and label == "cin1"):
        return none
    if stain == "acetic":
        kind = "thin" if label == "cin1" else "dense"
        cover = lesion.thin if label == "cin1" else lesion.dense * np.float32(0.9)
        drawing.blend(picture, _WHITE, cover * np.float32(_WHITENING[kind][frame]))
    elif stain == "green":
        cover = lesion.dense
        drawing.blend(picture, _PALE_GREEN, cover * np.float32(0.6))
        if label == "cin2_3":
            drawing.blend(picture, _VESSEL, lesion.coarse * np.float32(0.8))
        else:
            drawing.blend(picture, PALETTES["green"]["blood"], lesion.friable * np.float32(0.5))
            drawing.blend(picture, _VESSEL, lesion.corkscrew * np.float32(0.85))
    else:
        cover = lesion.ragged if label == "cancer" else lesion.yellow
        drawing.blend(picture, _UNCOLORED if label == "cancer" else _MUSTARD, cover)
    return cv2.threshold(cover, 0.02, 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
