"""Image files to pixels, the same pixels everywhere: training, evaluation, prediction.

OpenCV decodes JPEG, PNG and BMP bit for bit as tf.io does (JPEG with
dct_method="INTEGER_ACCURATE"), and starts without TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from cervix_tf.errors import InputError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Lower-case endings of the image files that `decode_file` reads."""

_MOST_PROBLEMS = 20
_TIFF = (b"II*\0", b"MM\0*")
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # JPEG markers among C0 ... CF that are not frame headers

# OpenCV's own lines about a damaged file would stand between the user and our message.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode_file(path: str | Path) -> np.ndarray:
    """(height, width, 3) uint8 RGB pixels of a JPEG, PNG, BMP or TIFF file.

    Grey is repeated to three channels and alpha dropped; the EXIF orientation is
    ignored, as in tf.io. Raises `InputError` for a file that is missing, empty, truncated,
    no such image, CMYK, or of more than 8 bits a channel.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file: check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; an image file was expected") from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> np.ndarray:
    """What `decode_file` gives for a file of these bytes; `name` stands for it in messages."""
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again from its source or leave it out")
    if data.startswith(b"\xff\xd8"):
        components, scan = _jpeg_frame(data)
        whole, cmyk = 0 < scan < data.rfind(b"\xff\xd9"), components == 4
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        whole, cmyk = b"IEND" in data[-4096:], False
    elif data.startswith(b"BM"):
        whole, cmyk = True, False
    elif data.startswith(_TIFF):
        whole, cmyk = True, _tiff_is_cmyk(data)
    else:
        raise InputError(f"{name}: not a JPEG, PNG, BMP or TIFF image; convert it or leave it out")
    if cmyk:
        raise InputError(f"{name}: a CMYK image; convert it to RGB")
    pixels = _pixels(data) if whole else None
    if pixels is None:
        raise InputError(f"{name}: truncated or damaged; copy it again from its source or leave it out")
    if pixels.dtype != np.uint8:
        raise InputError(f"{name}: {8 * pixels.dtype.itemsize} bits a channel; convert it to 8 bits a channel")
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def check_files(paths: Iterable[str | Path]) -> None:
    """Decode every file once, in parallel, so that a broken one is found before hours of training, not in them.

    Raises `InputError` that names all files that `decode_file` refuses, one line a file.
    """

    def problem(path: str | Path) -> str:
        try:
            decode_file(path)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        problems = [found for found in pool.map(problem, paths) if found]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"and {more} more such files: `python -m cervix_tf.data audit` lists all"] if more > 0 else []
        raise InputError("\n".join(problems[:_MOST_PROBLEMS] + tail))


def _pixels(data: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _jpeg_frame(data: bytes) -> tuple[int, int]:
    """Number of colour components, and where the first scan begins (0 = there is none)."""
    at, components = 2, 0
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:
            return components, at
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            components = data[at + 9]
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return components, 0


def _tiff_is_cmyk(data: bytes) -> bool:
    """Whether the first image's PhotometricInterpretation (tag 262) is 5, "separated"."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, at)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, at + 2 + 12 * entry)
            if tag == 262:
                return value == 5
    except struct.error:
        pass
    return False
