"""A picture of a manifest: a few images of each class, or a few cases with their views side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cervix_tf.data import names, png
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

_LINE = 20  # height of a caption, pixels
_GAP = 4
_INK = (40, 40, 40)
_MOST_LINES = 24


@dataclass(frozen=True)
class Strip:
    """One line of the sheet: a heading and (file, caption) of each image under it."""

    heading: str
    images: tuple[tuple[str, str], ...]


def write(manifest: Manifest, path: Path, *, columns: int = 8, tile: int = 128, seed: int = 0) -> None:
    """Write the sheet of `strips` as PNG to `path`; tiles are `tile` pixels square, letterboxed."""
    png.write(Path(path), draw(strips(manifest, columns, seed), tile)[..., ::-1])


def strips(manifest: Manifest, columns: int, seed: int) -> list[Strip]:
    """What the sheet shows: up to 4 cases a class, a line each; without cases, `columns` images a class.

    The choice is random and repeats with the seed.
    """
    rows = manifest.rows
    if not len(rows):
        raise InputError("the manifest has no rows to show")
    rng = np.random.default_rng(seed)
    found = []
    by_case = bool(((rows["case"] != "") & (rows["view"] != "")).any())
    for label, members in rows.sort_values("path").groupby("label"):
        name = str(label) or "(unlabeled)"
        if by_case:
            cases = sorted(set(members["case"]))
            for case in sorted(rng.permutation(np.array(cases, dtype=object))[:4]):
                of_case = members[members["case"] == case]
                views = zip(of_case["path"], of_case["view"], strict=True)
                in_order = sorted(views, key=lambda one: (names.natural(one[1]), one[0]))
                found.append(Strip(f"{name}, {case or '(no case)'}", tuple(in_order[:columns])))
        else:
            some = members.iloc[np.sort(rng.permutation(len(members))[:columns])]
            files = tuple((path, Path(path).name) for path in some["path"])
            found.append(Strip(f"{name}: {amount(len(members), 'image')}", files))
    files_of = [tuple((str(manifest.root / path), text) for path, text in strip.images) for strip in found]
    return [Strip(strip.heading, images) for strip, images in zip(found, files_of, strict=True)][:_MOST_LINES]


def draw(lines: list[Strip], tile: int) -> np.ndarray:
    """The sheet, (height, width, 3) uint8 BGR on white; a file that cannot be read is a crossed box."""
    width = max(len(line.images) for line in lines) * (tile + _GAP) + _GAP
    height = len(lines) * (tile + 2 * _LINE + _GAP) + _GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    for row, line in enumerate(lines):
        top = row * (tile + 2 * _LINE + _GAP) + _GAP
        _text(sheet, line.heading, _GAP, top, width, 0.5)
        for column, (file, caption) in enumerate(line.images):
            left = column * (tile + _GAP) + _GAP
            sheet[top + _LINE : top + _LINE + tile, left : left + tile] = _tile(file, tile)
            _text(sheet, caption, left, top + _LINE + tile, tile, 0.36)
    return sheet


def _tile(file: str, side: int) -> np.ndarray:
    import cv2

    from cervix_tf.data import images

    box = np.full((side, side, 3), 235, np.uint8)
    try:
        image = images.decode_file(file)[..., ::-1]
    except (InputError, OSError):
        cv2.line(box, (0, 0), (side, side), (0, 0, 200), 2)
        cv2.line(box, (0, side), (side, 0), (0, 0, 200), 2)
        return box
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (side - height) // 2, (side - width) // 2
    box[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=how)
    return box


def _text(sheet: np.ndarray, text: str, left: int, top: int, room: int, size: float) -> None:
    """Write one line, cut to `room` pixels; OpenCV's fonts have ASCII only."""
    import cv2

    text = text.encode("ascii", "replace").decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    while len(text) > 4 and cv2.getTextSize(text, font, size, 1)[0][0] > room:
        text = text[:-4] + "..."
    cv2.putText(sheet, text, (left, top + _LINE - 6), font, size, _INK, 1, cv2.LINE_AA)
