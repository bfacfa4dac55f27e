"""What one image file is: whether `images` can read it, and marks by which copies of it are found.

Near-duplicates are found in two steps. Candidates are pairs whose 64-bit perceptual
hashes (signs of the 8 x 8 lowest frequencies of a 32 x 32 gray thumbnail against their
median) differ in at most `NEAR_BITS` bits. A candidate counts when the 32 x 32 color
thumbnails correlate by at least `NEAR_CORRELATION`. Brightness, contrast, size and
compression hardly change either; mirrored, rotated and cropped copies are not found.

The values were chosen by looking at pairs in public data: among 1981 MobileODT images
199 pairs pass, all true, as in 4049 SIPaKMeD crops (278 pairs) and 686 IARC images
(6); at 10 bits the first pairs of different women appear, and without the correlation
8 bits let 10 such pairs pass.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cervix_tf import processor, progress
from cervix_tf.data import each_file, headers, images
from cervix_tf.data.headers import Header, UnreadableImage

if TYPE_CHECKING:
    from PIL.Image import Image

NEAR_BITS = 8
NEAR_CORRELATION = 0.95
_SIDE = 32
_BITS = 64
"""Of a hash."""
_WORDS = range(3, 17)
"""Into how many words a hash may be cut: into fewer, a table of all words would not fit into memory."""
_SLICE, _PAIRS = 4096, 1 << 22
"""Pairs that are looked at together, by their thumbnails and by their hashes."""
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}


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
    """64-bit perceptual hash; None also for an image of one color, which resembles nothing."""
    thumbnail: np.ndarray | None = None
    """(32, 32, 3) uint8, squeezed to a square."""


def inspect_all(files: Sequence[Path], workers: int, max_megapixels: float | None = None) -> list[Fingerprint]:
    """`inspect` of each file, in order, by `workers` threads (0 = one per core)."""
    workers = workers or processor.here().cores
    return list(each_file.results(lambda file: inspect(file, max_megapixels), files, "auditing", workers))


def inspect(file: Path, max_megapixels: float | None = None) -> Fingerprint:
    """What the file at `file` is; never raises on account of the file.

    `max_megapixels`: larger images are a problem and are not decoded; None = the reader's own limit.
    """
    from PIL import Image

    limit = headers.most_pixels() if max_megapixels is None else int(max_megapixels * 1e6)
    sha256 = ""
    try:
        data = images.read(file, limit)
        sha256 = hashlib.sha256(data).hexdigest() if data else ""
        pixels = images.decode(data, str(file), limit)
    except UnreadableImage as refusal:
        return Fingerprint((Problem(refusal.kind, "error", refusal.reason),), sha256)
    problems = [*_oddities(headers.read(data), file.suffix.lower())]
    height, width, _ = pixels.shape
    digest = hashlib.sha256(f"{width}x{height}".encode() + pixels.tobytes()).hexdigest()
    rgb = Image.fromarray(pixels)
    thumbnail = np.asarray(rgb.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    mark = _perceptual_hash(rgb)
    if mark is None:
        problems.append(Problem("blank", "warning", "is (nearly) a single color"))
    return Fingerprint(tuple(problems), sha256, digest, mark, thumbnail)


def near_pairs(
    prints: Sequence[Fingerprint], threshold: int = NEAR_BITS, correlation: float = NEAR_CORRELATION
) -> list[tuple[int, int, int]]:
    """(earlier, later, differing bits) of each pair of near-duplicates, byte-identical ones included."""
    known = np.array([at for at, mark in enumerate(prints) if mark.hash is not None], dtype=int)
    hashes = np.array([prints[at].hash for at in known], dtype=np.uint64)

    def thumbnails(some: np.ndarray) -> np.ndarray:
        return np.stack([prints[at].thumbnail for at in known[some]]).reshape(len(some), -1)

    found: dict[tuple[int, int], int] = {}
    words = min(_WORDS, key=lambda words: _looked_at(len(hashes), words, threshold))
    every = len(hashes) ** 2 / 2 <= _looked_at(len(hashes), words, threshold)
    candidates = _every(len(hashes)) if every else _by_word(hashes, words, threshold)
    for first, second in progress.counted(candidates, "comparing images", 0, ""):
        differing = np.bitwise_count(hashes[first] ^ hashes[second])
        near = (first != second) & (differing <= threshold)
        one, two = (pick(first[near], second[near]) for pick in (np.minimum, np.maximum))
        bits = differing[near]
        # Few as a rule; many only where a set holds many copies, so that they go in slices.
        for start in range(0, len(one), _SLICE):
            some = slice(start, start + _SLICE)
            alike = _correlations(thumbnails(one[some]), thumbnails(two[some])) >= correlation
            pairs = zip(known[one[some][alike]].tolist(), known[two[some][alike]].tolist(), strict=True)
            found |= zip(pairs, bits[some][alike].tolist(), strict=True)
    return [(*pair, bits) for pair, bits in sorted(found.items())]


def _words(words: int, threshold: int) -> Iterator[tuple[int, int, int]]:
    """(first bit, bits, radius) of each word of a hash that is cut into so many.

    Of two hashes that differ in at most `threshold` bits, one word at least differs in no more bits than its radius:
    else all words together would differ in more.

    Source: Norouzi, Punjani and Fleet, Fast search in Hamming space with multi-index hashing, CVPR 2012.
    """
    for at in range(words):
        first, end = _BITS * at // words, _BITS * (at + 1) // words
        yield first, end - first, threshold // words - (at > threshold % words)


def _looked_at(count: int, words: int, threshold: int) -> float:
    """About how many words and pairs `_by_word` looks at, of hashes by chance."""
    return sum(
        (1 << bits) + _masks(bits, radius) * (count + count**2 / (1 << bits) / 2)
        for _, bits, radius in _words(words, threshold)
    )


def _masks(bits: int, radius: int) -> int:
    return sum(math.comb(bits, size) for size in range(radius + 1))


def _by_word(hashes: np.ndarray, words: int, threshold: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of hashes one of whose words differs in as few bits as `_words` says; in one order or both, some again."""
    for first, bits, radius in _words(words, threshold):
        cut = (hashes >> np.uint64(first)).astype(np.int64) & ((1 << bits) - 1)
        order = np.argsort(cut, kind="stable")
        cut = cut[order]  # neighbors in the tables are neighbors in memory
        sizes = np.bincount(cut, minlength=1 << bits)
        ends = np.cumsum(sizes)
        for flipped in (flips for size in range(radius + 1) for flips in combinations(range(bits), size)):
            partners = cut ^ sum(1 << bit for bit in flipped)
            rows = np.flatnonzero((cut <= partners) & (sizes[partners] > 0))  # the other order is of the same pairs
            last, counts = ends[partners[rows]], sizes[partners[rows]]
            # As many rows at a time as have some millions of partners.
            chunks = np.searchsorted(np.cumsum(counts), np.arange(_PAIRS, counts.sum(), _PAIRS))
            for some in np.split(np.arange(len(rows)), chunks):
                each = counts[some]
                back = np.arange(each.sum()) - np.repeat(np.cumsum(each), each)  # -each .. -1 in every row
                yield order[np.repeat(rows[some], each)], order[np.repeat(last[some], each) + back]


def _every(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of `count` things, earlier and later."""
    for at in range(count):
        later = np.arange(at + 1, count)
        yield np.full_like(later, at), later


def _oddities(header: Header, suffix: str) -> Iterator[Problem]:
    if suffix not in _SUFFIXES[header.format]:
        yield Problem("wrong_extension", "warning", f"is {header.format}, its name ends in {suffix or 'no suffix'}")
    if header.alpha:
        yield Problem("wrong_channels", "warning", "has an alpha channel, which is dropped")
    elif header.colors == "gray":
        yield Problem("wrong_channels", "warning", "is gray; read as RGB with equal channels")
    if header.orientation != 1:
        reason = f"is stored turned (EXIF orientation {header.orientation}); read upright"
        yield Problem("orientation", "warning", reason)


def _perceptual_hash(rgb: Image) -> int | None:
    from PIL import Image
    from scipy.fft import dctn

    gray = np.asarray(rgb.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)
    if gray.std() < 1:
        return None
    low = dctn(gray, norm="ortho")[:8, :8].ravel()
    return int(np.packbits(low > np.median(low)).view(np.uint64)[0])


def _correlations(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of `one` with the same row of `two`."""
    one, two = (part.astype(np.float32) - part.mean(1, keepdims=True) for part in (one, two))
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
