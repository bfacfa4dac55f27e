"""Image files to pixels, the same pixels and the same refusals everywhere: audit, training, evaluation, prediction.

| stored as | read as |
|---|---|
| gray, 1 to 8 bits | three equal channels |
| palette | the colors that it names |
| alpha, as a channel or as one color | dropped, not blended: colors as stored; premultiplied ones (TIFF) are divided |
| EXIF orientation | turned upright, as viewers, phones and browsers show it |
| several images in one file | the first |
| more than 8 bits a channel, CMYK, YCbCr, CIELAB | refused: how to convert it is the user's choice |
| more pixels than `headers.most_pixels` | refused before a pixel is decoded |
| truncated, or anything that a codec warns of | refused |

Pixels of JPEG (dct_method="INTEGER_ACCURATE"), PNG and BMP are bit for bit those of
tf.io where it reads the file at all and no orientation is given; TensorFlow is not needed.

What no decoder can see stays unseen: a changed byte that is a legitimate code of another
image, as in an uncompressed BMP or TIFF and, rarely, in a JPEG. For that the manifest
keeps each file's sha256, and the audit compares it.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cervix_tf import progress
from cervix_tf.data import decoders, headers
from cervix_tf.data.headers import UnreadableImage, damaged
from cervix_tf.errors import InputError

MISSING = ""
"""The name that stands for a view that a case lacks, in place of a file's."""
NOT_SEEN = ("missing", "unreadable")
"""Kinds of problems of which nobody knows whether the file is damaged."""
_MOST_PROBLEMS = 20
_SKIP = "leave damaged images out, named and counted, with --damaged skip"
_DECODERS = {"JPEG": decoders.jpeg, "PNG": decoders.png, "BMP": decoders.bmp, "TIFF": decoders.tiff}


def decode_file(path: str | Path) -> np.ndarray:
    """(height, width, 3) uint8 RGB pixels of a JPEG, PNG, BMP or TIFF file.

    Raises `UnreadableImage`, an `InputError`, for a file that is missing, no regular file,
    empty, no such image, or one that the table above refuses.
    """
    return decode(read(path), str(path))


def black() -> np.ndarray:
    """The image of a view that is missing, (1, 1, 3) uint8: black, however it is resized or augmented."""
    return np.zeros((1, 1, 3), np.uint8)


def read(path: str | Path, limit: int | None = None) -> bytes:
    """The bytes of a file that can be an image of at most `limit` pixels (default: `headers.most_pixels`).

    Raises `UnreadableImage` for a file that is missing, no regular file, or longer than that.
    """
    limit = headers.most_pixels() if limit is None else limit
    most = headers.most_bytes(limit)
    with _named(path):
        try:
            found = Path(path).stat()  # before it is opened: to open a pipe waits for its other end
            if not stat.S_ISREG(found.st_mode):
                what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
                raise UnreadableImage("unreadable", f"is {what}; an image file was expected")
            if found.st_size > most:
                too_long = f"is longer than any image of {limit} pixels; make it smaller or raise {headers.LIMIT}"
                raise UnreadableImage("too_large", too_long)
            with Path(path).open("rb") as file:
                return file.read(found.st_size)
        except FileNotFoundError:
            raise UnreadableImage(
                "missing", "no such image file: check the path, or the folder that paths start from"
            ) from None
        except OSError as error:
            raise UnreadableImage("unreadable", f"cannot be read ({error.strerror}); check the path") from None


def decode(data: bytes, name: str, limit: int | None = None) -> np.ndarray:
    """What `decode_file` gives for a file of these bytes; `name` stands for it in messages."""
    with _named(name):
        header = headers.read(data)
        headers.check(header, headers.most_pixels() if limit is None else limit)
        pixels = _DECODERS[header.format](data, header)
        if header.format != "TIFF":  # Pillow has turned it
            pixels = _upright(pixels, header.orientation)
        if pixels.shape != (*header.shape, 3):
            raise damaged(f"its header says {header.shape}, its pixels are {pixels.shape[:2]}")
        return pixels


def check_files(paths: Iterable[str | Path], *, skippable: bool = False) -> None:
    """Decode every file once, in parallel, so that a broken one is found before hours of training, not in them.

    `MISSING` is none. `skippable` says that the command has `--damaged skip`, which is then named as a remedy.

    Raises `InputError` that names all files that `decode_file` refuses, one line a file.
    """
    problems = [problem for problem in unreadable(path for path in paths if path != MISSING) if problem is not None]
    refuse(problems, _SKIP if skippable and all(problem.kind not in NOT_SEEN for problem in problems) else "")


def refuse(problems: Sequence[UnreadableImage], remedy: str = "") -> None:
    """Raises `InputError` with one line for each of the first problems, and the remedy, unless there is none."""
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"and {more} more such files: `python -m cervix_tf.data audit` lists all"] if more > 0 else []
        raise InputError("\n".join([*map(str, problems[:_MOST_PROBLEMS]), *tail, *filter(None, [remedy])]))


def unreadable(paths: Iterable[str | Path]) -> list[UnreadableImage | None]:
    """Why `decode_file` refuses each file, in order; None for a sound one. Files are decoded in parallel."""

    def problem(path: str | Path) -> UnreadableImage | None:
        try:
            decode_file(path)
        except UnreadableImage as error:
            return error
        return None

    files = list(paths)
    with ThreadPoolExecutor() as pool:
        return list(progress.counted(pool.map(problem, files), "reading every image", len(files), "images"))


@contextlib.contextmanager
def _named(name: str | Path) -> Iterator[None]:
    try:
        yield
    except UnreadableImage as error:
        error.name = str(name)
        raise


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The image as it is to be seen, of one that is stored in an EXIF orientation of 1 to 8."""
    if orientation == 1:
        return pixels
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
