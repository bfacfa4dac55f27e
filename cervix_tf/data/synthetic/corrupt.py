"""What goes wrong with image files, done on purpose to a folder of synthetic visits."""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from cervix_tf.errors import InputError

_HUGE = 60_000


def corrupt(root: Path, seed: int) -> dict[str, Path]:
    """Spoil one image a kind in a folder that `visits.write` made; returns kind -> the spoilt file.

    Visits keep their seven images and their order; a file that becomes a PNG changes its
    suffix. Kinds:

    - `empty`, `truncated`, `text` (words in a file named .jpg), `too_large` (a PNG header
      that claims 60000 x 60000 pixels): cannot be read;
    - `cmyk`, `gray` (JPEG), `sixteen_bit`, `alpha` (PNG): can be read, but are not 8-bit RGB;
    - `duplicate` (the same bytes in another visit of the class and part), `near_duplicate`
      (encoded again, a little smaller), `two_labels` (the same bytes in another class),
      `two_splits` (the same bytes of one class in train and test).

    Raises `InputError` when the folder has too few visits: it takes two of one class and
    one of another in train, and one of the first in test.
    """
    root = Path(root)
    rng = np.random.default_rng([seed])
    visits: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in sorted(root.glob("*/*/*")):
        if folder.is_dir():
            visits[folder.parts[-3], folder.parts[-2]].append(folder)
    trained = sorted(label for split, label in visits if split == "train")
    chosen = [label for label in trained if len(visits["train", label]) > 1 and visits["test", label]]
    if not chosen or len(trained) < 2:
        raise InputError(f"{root}: has too few visits to spoil; write 16 or more with a test share of 0.25")
    label = str(rng.choice(chosen))
    source, target = (visits["train", label][at] for at in rng.permutation(len(visits["train", label]))[:2])
    other = visits["train", str(rng.choice([name for name in trained if name != label]))][0]
    tested = visits["test", label][0]

    def image(visit: Path, view: int) -> Path:
        return sorted(visit.iterdir())[view]

    spoilt: dict[str, Path] = {}
    for kind, visit, view in (("duplicate", target, 0), ("two_labels", other, 1), ("two_splits", tested, 2)):
        spoilt[kind] = image(visit, view)
        spoilt[kind].write_bytes(image(source, view).read_bytes())
    smaller = cv2.resize(_pixels(image(source, 5)), None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    spoilt["near_duplicate"] = image(target, 5)
    cv2.imwrite(str(spoilt["near_duplicate"]), smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])

    taken = {image(source, view) for view in (0, 1, 2, 5)} | set(spoilt.values())
    free = [path for path in sorted(root.glob("train/*/*/*.jpg")) if path not in taken]
    kinds = ("empty", "truncated", "text", "too_large", "cmyk", "gray", "sixteen_bit", "alpha")
    for kind, at in zip(kinds, rng.choice(len(free), len(kinds), replace=False), strict=True):
        spoilt[kind] = _spoil(free[at], kind)
    return spoilt


def _spoil(path: Path, kind: str) -> Path:
    data = path.read_bytes()
    pixels = _pixels(path)
    if kind in ("too_large", "sixteen_bit", "alpha"):
        path.unlink()
        path = path.with_suffix(".png")
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(data[: len(data) * 2 // 5])
        case "text":
            path.write_text("Not an image, whatever its name says.\n", encoding="utf-8")
        case "too_large":
            path.write_bytes(_huge_png())
        case "cmyk":
            from PIL import Image

            Image.fromarray(pixels[..., ::-1].copy()).convert("CMYK").save(path, "JPEG", quality=90)
        case "gray":
            cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
        case "sixteen_bit":
            cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
        case "alpha":
            see_through = np.full(pixels.shape[:2], 128, np.uint8)
            cv2.imwrite(str(path), np.dstack([pixels, see_through]))
    return path


def _pixels(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 BGR."""
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise InputError(f"{path}: cannot be read; spoil a folder only once")
    return pixels


def _huge_png() -> bytes:
    """A PNG of a few dozen bytes whose header promises 10.8 GB of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", _HUGE, _HUGE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
