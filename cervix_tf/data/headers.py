"""What an image file says of itself before a pixel is decoded: kind, size, depth, colors, orientation.

JPEG, PNG, BMP and TIFF (BigTIFF too) are read, with nothing but the standard library. A
size that a header claims is compared with the limit here, so that a few bytes that
claim gigabytes cost nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from cervix_tf.errors import InputError

LIMIT = "CERVIX_TF_MAX_PIXELS"
"""Environment variable with the most pixels that an image may have."""

_MOST_PIXELS = 50_000_000
_MOST_SIDE = 32_766  # OpenCV's geometry counts pixels in 16 bits
_BYTES_PER_PIXEL = 8  # of uncompressed 16-bit RGBA; a longer file is no image within the limit

PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = {
    "GIF": lambda data: data[:4] == b"GIF8",
    "WebP": lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
    "HEIF or AVIF": lambda data: data[4:8] == b"ftyp",
    "JPEG 2000": lambda data: data[4:8] == b"jP  " or data[:4] == b"\xff\x4f\xff\x51",
    "DICOM": lambda data: data[128:132] == b"DICM",
}
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # JPEG markers among C0 ... CF that are not frame headers
_SEQUENTIAL = (0xC0, 0xC1)
_ALONE = (0x01, *range(0xD0, 0xD9))  # JPEG markers without a length
_JPEG_COLORS = {1: "gray", 3: "RGB", 4: "CMYK"}
_PNG_COLORS = {0: "gray", 2: "RGB", 3: "palette", 4: "gray", 6: "RGB"}
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_TIFF_COLORS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB"}
_ORIENTATION = 274
_TIFF_TAGS = (256, 257, 258, 259, 262, _ORIENTATION, 322, 323, 338)
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_JPEG = 7
_TIFF_UNREAD = (2, 3, 4, 6)  # compressions whose decoders guess what is damaged, without a word


class UnreadableImage(InputError):
    """An image file that no pipeline takes: `kind` in one word (the audit's), `reason` with the remedy."""

    def __init__(self, kind: str, reason: str, name: str = "image") -> None:
        super().__init__(kind, reason, name)
        self.kind, self.reason, self.name = kind, reason, name

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Header:
    """What the file says of its (first) image."""

    format: str
    """JPEG, PNG, BMP or TIFF, whatever the file's name ends in."""
    width: int
    """Pixels as stored, before the orientation is applied."""
    height: int
    """Pixels as stored."""
    bits: int
    """Of a channel, or of an index into a palette."""
    colors: str
    """gray, RGB, palette, or what is not read: CMYK, YCbCr, CIELAB."""
    alpha: bool = False
    """Whether there is a channel or a color of transparency."""
    orientation: int = 1
    """EXIF orientation, 1 (upright) to 8."""
    tile: int = 0
    """Pixels of a TIFF's tile, decoded at once; 0 where there are none."""
    scans: int = 0
    """Of a JPEG: 1, or 2 for perhaps many; 0 where the file ends before the first."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels once the image is upright."""
        return (self.width, self.height) if self.orientation in _TURNED else (self.height, self.width)


def most_pixels() -> int:
    """The most pixels that an image may have: 50 million, or what the environment says in CERVIX_TF_MAX_PIXELS."""
    given = os.environ.get(LIMIT, "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise InputError(f"{LIMIT}: {given!r} is not a number of pixels; give a whole number such as {_MOST_PIXELS}")
    return int(given or _MOST_PIXELS)


def most_bytes(limit: int) -> int:
    """The longest file that can hold an image of at most `limit` pixels."""
    return limit * _BYTES_PER_PIXEL + 2**20


def read(data: bytes) -> Header:
    """The header of an image file that begins with `data`.

    Raises `UnreadableImage` when it is no JPEG, PNG, BMP or TIFF, or its header is damaged or not whole.
    """
    if not data:
        raise UnreadableImage("empty", "the file is empty (0 bytes); copy it again from its source or leave it out")
    try:
        found = _read(data)
    except (struct.error, OverflowError):
        found = None
    if found is None or found.width < 1 or found.height < 1:
        raise damaged("it begins as an image but has no whole header")
    return found


def check(header: Header, limit: int) -> None:
    """Raises `UnreadableImage` for an image of more than `limit` pixels, and for one that is not 8-bit gray or RGB."""
    if header.width * header.height > limit or max(header.width, header.height) > _MOST_SIDE or header.tile > limit:
        raise UnreadableImage(
            "too_large",
            f"has {header.width} x {header.height} pixels, the limit is {limit} (and {_MOST_SIDE} a side); "
            f"make it smaller or raise {LIMIT}",
        )
    if header.bits > 8:
        raise UnreadableImage("sixteen_bit", f"{header.bits} bits per channel; convert it to 8 bits per channel")
    if header.colors not in ("gray", "RGB", "palette"):
        raise UnreadableImage("wrong_channels", f"a {header.colors} image; convert it to RGB")


def damaged(why: str, kind: str = "damaged") -> UnreadableImage:
    """The error for a file whose bytes are not what an encoder wrote."""
    why = " ".join(why.split())  # a codec's words, on one line
    return UnreadableImage(kind, f"truncated or damaged ({why}); copy it again from its source or leave it out")


def truncated() -> UnreadableImage:
    """The error for a file whose end is missing."""
    return damaged("it ends before its last pixel", "truncated")


def _read(data: bytes) -> Header | None:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    if data.startswith(_TIFF):
        return _tiff(data)
    for name, is_it in _OTHERS.items():
        if is_it(data):
            raise UnreadableImage("wrong_format", f"is {name}, not a JPEG, PNG, BMP or TIFF image; convert it to PNG")
    if any(whole.startswith(data[:8]) for whole in (PNG, b"\xff\xd8\xff", *_TIFF)):
        return None
    raise UnreadableImage("not_an_image", f"not a JPEG, PNG, BMP or TIFF image (begins {data[:8]!r}); leave it out")


def _jpeg(data: bytes) -> Header | None:
    found, orientation, one_scan, scans = None, 0, False, 0
    for marker, begin, end in _jpeg_segments(data):
        if marker == 0xE1 and data[begin + 4 : begin + 10] == b"Exif\0\0":  # of several the first, as others do
            orientation = orientation or _orientation(data[begin + 10 : end])
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            found = struct.unpack_from(">BHHB", data, begin + 4)
            one_scan = marker in _SEQUENTIAL
        elif marker == 0xDA and found is not None:
            scans = 1 if one_scan and data[begin + 4 : begin + 5] == bytes(found[3:]) else 2
    if found is None:
        return None
    bits, height, width, channels = found
    if channels not in _JPEG_COLORS:
        raise UnreadableImage("wrong_channels", f"a JPEG of {channels} channels; convert it to RGB")
    return Header("JPEG", width, height, bits, _JPEG_COLORS[channels], False, orientation or 1, scans=scans)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of each segment up to a JPEG's first scan; other bytes are passed over, as by libjpeg."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at + 1 : at + 2] == b"\xff":  # any number of fill bytes
            at += 1
        if at < 0 or at + 4 > len(data):
            return
        marker = data[at + 1]
        if marker == 0xD9:  # the image ends
            return
        if marker == 0 or marker in _ALONE:
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield marker, at, end
        if marker == 0xDA:
            return
        at = end


def _png(data: bytes) -> Header | None:
    length, name, width, height, bits, colors, *methods = struct.unpack_from(">I4sIIBBBBB", data, 8)
    whole = (length, name) == (13, b"IHDR") and methods in ([0, 0, 0], [0, 0, 1])
    if not whole or bits not in _PNG_BITS.get(colors, ()):
        return None
    alpha, orientation, at = colors in (4, 6), 1, 33
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"tRNS":
            alpha = True
        elif name == b"eXIf":
            orientation = _orientation(data[at + 8 : at + 8 + length])
        at += 12 + length
    return Header("PNG", width, height, bits, _PNG_COLORS[colors], alpha, orientation)


def _bmp(data: bytes) -> Header:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    masked = compression in (3, 6) and bits == 32 and len(data) >= 70
    alpha = masked and data[66:70] != bytes(4)
    # A negative height means that rows run downwards; 16 bits a pixel are five or six a channel.
    return Header("BMP", width, abs(height), min(bits, 8), "palette" if bits <= 8 else "RGB", alpha)


def _tiff(data: bytes) -> Header:
    tags = _tags(data)
    if max(tags.get(259) or (1,)) in _TIFF_UNREAD:
        raise UnreadableImage("wrong_format", "is a TIFF compressed as a fax or as old-style JPEG; convert it to PNG")

    def value(tag: int, default: int) -> int:
        return max(tags.get(tag) or (default,))

    photometric, alpha = value(262, 1), bool(tags.get(338))
    colors = _TIFF_COLORS.get(photometric, f"TIFF color space {photometric}")
    if photometric == 6:  # inside JPEG it is undone by the codec
        colors = "RGB" if value(259, 1) == _TIFF_JPEG else "YCbCr"
    return Header(
        "TIFF",
        value(256, 0),
        value(257, 0),
        value(258, 1),
        colors,
        alpha,
        _upright(value(_ORIENTATION, 1)),
        value(322, 0) * value(323, 0),
    )


def _orientation(exif: bytes) -> int:
    try:
        return _upright(max(_tags(exif, (_ORIENTATION,)).get(_ORIENTATION) or (1,)))
    except (struct.error, OverflowError):
        return 1


def _upright(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _tags(data: bytes, wanted: Collection[int] = _TIFF_TAGS) -> dict[int, tuple[int, ...]]:
    """Tag that is wanted -> its numbers, of the first directory of a TIFF, a BigTIFF or an EXIF block."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    at += 8 if big else 2
    found: dict[int, tuple[int, ...]] = {}
    for _ in range(min(entries, 4096)):
        tag, kind, count, value = entry.unpack_from(data, at)
        at += entry.size
        if tag not in wanted:
            continue
        if tag in found or kind not in _TIFF_TYPES or not 0 < count <= 64:
            raise struct.error(f"tag {tag}")  # readers disagree on what it means
        form = f"{order}{count}{_TIFF_TYPES[kind]}"
        if struct.calcsize(form) > len(value):
            (offset,) = struct.unpack(order + ("Q" if big else "I"), value)
            value = data[offset : offset + struct.calcsize(form)]
        found[tag] = struct.unpack_from(form, value)
    return found
