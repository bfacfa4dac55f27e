"""What one image file is: whether it can be read as 8-bit RGB, and marks by which copies of it are found.

Files are decoded with Pillow, since it refuses files that end early; OpenCV fills the
missing part of a truncated JPEG with grey and says nothing.

Near-duplicates are found in two steps. Candidates are pairs whose 64-bit perceptual
hashes (signs of the 8 x 8 lowest frequencies of a 32 x 32 grey thumbnail against their
median) differ in at most `NEAR_BITS` bits. A candidate counts when the 32 x 32 colour
thumbnails correlate by at least `NEAR_CORRELATION`. Brightness, contrast, size and
compression hardly change either; mirrored, rotated and cropped copies are not found.

The values were chosen by looking at pairs in public data: among 1981 MobileODT images
199 pairs pass, all true, as in 4049 SIPaKMeD crops (278 pairs) and 686 IARC images
(6); at 10 bits the first pairs of different women appear, and without the correlation
8 bits let 10 such pairs pass.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cervix_tf import processor

if TYPE_CHECKING:
    from PIL.Image import Image

NEAR_BITS = 8
NEAR_CORRELATION = 0.95
_SIDE = 32
_BLOCK = 512
_BYTES_PER_PIXEL = 8  # of uncompressed 16-bit RGBA; a longer file is no image within the limit
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}
_WRONG_CHANNELS = {"CMYK": "CMYK (print colours)", "YCbCr": "undecoded YCbCr", "LAB": "CIELAB", "HSV": "HSV"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file."""

    kind: str
    severity: str
    """`error`: no pipeline can read the file as 8-bit RGB. `warning`: it can, but look."""
    reason: str


@dataclass(frozen=True)
class Fingerprint:
    """The marks of one file; those that need its pixels are empty when it cannot be decoded."""

    problems: tuple[Problem, ...]
    sha256: str = ""
    """Of the bytes."""
    pixels: str = ""
    """Digest of size and decoded RGB pixels."""
    hash: int | None = None
    """64-bit perceptual hash; None also for an image of one colour, which resembles nothing."""
    thumbnail: np.ndarray | None = None
    """(32, 32, 3) uint8, squeezed to a square."""


def inspect_all(files: Sequence[Path], workers: int, max_megapixels: float) -> list[Fingerprint]:
    """`inspect` of each file, in order, by `workers` threads (0 = one a core)."""
    with warnings.catch_warnings(), ThreadPoolExecutor(workers or processor.here().cores) as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters of it becomes a Problem
        return list(pool.map(lambda file: inspect(file, max_megapixels), files))


def inspect(file: Path, max_megapixels: float) -> Fingerprint:
    """What the file at `file` is; never raises on account of the file."""
    from PIL import Image

    sha256 = ""
    try:
        data = _read(file, max_megapixels)
        sha256 = hashlib.sha256(data).hexdigest()
        image = _decode(data, max_megapixels)
        _check_format(image, data)
    except _Refused as refusal:
        return Fingerprint((Problem(refusal.kind, "error", refusal.reason),), sha256)
    problems = [*_oddities(image, file.suffix.lower())]
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    pixels = hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes()).hexdigest()
    thumbnail = np.asarray(rgb.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    mark = _perceptual_hash(rgb)
    if mark is None:
        problems.append(Problem("blank", "warning", "has (nearly) one colour all over"))
    return Fingerprint(tuple(problems), sha256, pixels, mark, thumbnail)


def near_pairs(
    prints: Sequence[Fingerprint], threshold: int = NEAR_BITS, correlation: float = NEAR_CORRELATION
) -> list[tuple[int, int, int]]:
    """(earlier, later, differing bits) of each pair of near-duplicates, byte-identical ones included.

    Every hash is compared with every other in blocks: 10,000 images take about a second.
    """
    known = np.array([at for at, mark in enumerate(prints) if mark.hash is not None], dtype=int)
    if not len(known):
        return []
    hashes = np.array([prints[at].hash for at in known], dtype=np.uint64)
    thumbnails = np.stack([prints[at].thumbnail for at in known]).reshape(len(known), -1)
    pairs: list[tuple[int, int, int]] = []
    for start in range(0, len(known), _BLOCK):
        bits = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes[None, start:])
        first, second = np.nonzero(np.triu(bits <= threshold, 1))
        if not len(first):
            continue
        # Candidates are few; many only where a set holds many copies, so they too go in blocks.
        for some in np.array_split(np.arange(len(first)), len(first) // 4096 + 1):
            one, two = first[some], second[some]
            alike = _correlations(thumbnails[start + one], thumbnails[start + two]) >= correlation
            pairs += zip(
                known[start + one[alike]].tolist(),
                known[start + two[alike]].tolist(),
                bits[one[alike], two[alike]].tolist(),
                strict=True,
            )
    return pairs


class _Refused(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def _read(file: Path, max_megapixels: float) -> bytes:
    try:
        size = file.stat().st_size
        if file.is_dir():
            raise _Refused("unreadable", "is a folder")
        if size == 0:
            raise _Refused("empty", "has 0 bytes; fetch it again")
        if size > max_megapixels * 1e6 * _BYTES_PER_PIXEL + 2**20:
            raise _Refused("too_large", f"has {size / 1e6:.0f} MB; make it smaller or raise the limit")
        return file.read_bytes()
    except FileNotFoundError:
        raise _Refused("missing", "is not there; check the data root or fetch it again") from None
    except OSError as error:
        raise _Refused("unreadable", f"cannot be read ({error.strerror})") from None


def _decode(data: bytes, max_megapixels: float) -> Image:
    """The image with its pixels loaded, in the colours it is stored in."""
    from PIL import Image, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise _Refused("too_large", f"has too many pixels ({error})") from None
    except UnidentifiedImageError:
        if data.startswith(_MAGIC):
            raise _Refused("damaged", "begins as an image but has no whole header; fetch it again") from None
        raise _Refused("not_an_image", f"is no JPEG, PNG, BMP or TIFF (begins {data[:8]!r})") from None
    except Exception as error:  # a broken or hostile header can raise nearly anything
        raise _broken(error) from None
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise _Refused("too_large", f"has {width} x {height} pixels; make it smaller or raise the limit")
    try:
        image.load()
    except Exception as error:
        raise _broken(error) from None
    if image.format == "PNG" and b"IEND" not in data[-4096:]:  # Pillow does without
        raise _Refused("truncated", "ends before its IEND chunk; fetch it again")
    return image


def _broken(error: Exception) -> _Refused:
    if "truncated" in str(error).lower():
        return _Refused("truncated", "ends before its last pixel; fetch it again")
    return _Refused("damaged", f"cannot be decoded ({str(error).strip()}); fetch it again")


def _check_format(image: Image, data: bytes) -> None:
    """Refuse what no pipeline takes for 8-bit RGB."""
    if image.format not in _SUFFIXES:
        raise _Refused("wrong_format", f"is {image.format}; convert it to PNG")
    bits = _bits(image, data)
    if bits > 8:
        raise _Refused("sixteen_bit", f"has {bits} bits a channel; convert it to 8")
    if image.mode in _WRONG_CHANNELS:
        raise _Refused("wrong_channels", f"is {_WRONG_CHANNELS[image.mode]}; convert it to RGB")


def _oddities(image: Image, suffix: str) -> Iterator[Problem]:
    kind = str(image.format)
    if suffix not in _SUFFIXES[kind]:
        yield Problem("wrong_extension", "warning", f"is {kind}, its name ends in {suffix or 'no suffix'}")
    if image.mode in ("L", "1"):
        yield Problem("wrong_channels", "warning", "is grey; read as RGB with equal channels")
    elif "A" in image.getbands() or "transparency" in image.info:
        yield Problem("wrong_channels", "warning", "has an alpha channel, which is dropped")


def _bits(image: Image, data: bytes) -> int:
    """Bits a channel as stored; Pillow opens 16-bit colour PNG and TIFF as 8-bit RGB."""
    if image.format == "PNG":
        return data[24]  # the bit depth in IHDR, always the first chunk
    if image.format == "TIFF":
        return max(np.atleast_1d(getattr(image, "tag_v2", {}).get(258, 1)))
    return 32 if image.mode in ("I", "F") else 8


def _perceptual_hash(rgb: Image) -> int | None:
    from PIL import Image
    from scipy.fft import dctn

    grey = np.asarray(rgb.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)
    if grey.std() < 1:
        return None
    low = dctn(grey, norm="ortho")[:8, :8].ravel()
    return int(np.packbits(low > np.median(low)).view(np.uint64)[0])


def _correlations(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of `one` with the same row of `two`."""
    one, two = (part.astype(np.float32) - part.mean(1, keepdims=True) for part in (one, two))
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
