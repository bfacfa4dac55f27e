"""Pixels of one image file a format, and only of a sound one: whatever a codec warns of is refused.

Each takes the file's bytes and its checked header and gives (height, width, 3) uint8 RGB
pixels as stored, before the orientation is applied. No codec writes to the terminal.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import simplejpeg

from cervix_tf.data import headers
from cervix_tf.data.headers import Header, UnreadableImage, damaged, truncated

_MOST_SCANS = 50  # of a progressive JPEG; encoders write about ten, and each costs as much time as the first
_SCAN = b"\xff\xda"
_END = b"\xff\xd9"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_FILTERS = 5
_RUN_LENGTHS = (1, 2)  # compressions of a BMP
_COMPRESSION, _JPEG, _JPEG_TABLES = 259, 7, 347  # tags of a TIFF, and one's value
_STRIPS, _TILES = (273, 279), (324, 325)  # tags of their offsets and lengths

# OpenCV's own lines about a damaged file would stand between the user and our message.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def jpeg(data: bytes, header: Header) -> np.ndarray:
    """By libjpeg-turbo, of which simplejpeg reports each warning; OpenCV and Pillow would fill in gray instead."""
    if not header.scans:
        raise truncated()
    if header.scans > 1 and data.count(_SCAN) > _MOST_SCANS:
        raise damaged(f"more than {_MOST_SCANS} scans")
    try:
        # Copied, since libjpeg-turbo writes aligned rows past the caches: augmenting them took twice as long.
        return simplejpeg.decode_jpeg(data, strict=True).copy()
    except ValueError as error:
        said = str(error).removeprefix("Corrupt JPEG data: ")
    if "end of JPEG file" in said or _END not in data:  # cut early enough, it is called of unusual subsampling
        raise truncated()
    if "subsampling" in said:
        raise UnreadableImage("wrong_format", "is a JPEG with unusual chroma subsampling; convert it to PNG")
    raise damaged(said)


def png(data: bytes, header: Header) -> np.ndarray:
    """By OpenCV, once every byte is checked: what libpng has to say would go to the terminal."""
    palette, stream = _png_parts(data, header)
    _check_scanlines(b"".join(part[8:-4] for part in stream), data[24], data[25], data[28], header)
    return _opencv(b"".join([data[:33], *palette, *stream, _PNG_END]))  # without text, profiles and the like


def bmp(data: bytes, header: Header) -> np.ndarray:
    """By OpenCV."""
    (begin, size), bits, compression = struct.unpack_from("<II", data, 10), 0, 0
    if size == 12:
        (bits,) = struct.unpack_from("<H", data, 24)
    else:
        bits, compression = struct.unpack_from("<HI", data, 28)
    line = (header.width * bits + 31) // 32 * 4
    if compression not in _RUN_LENGTHS and begin + line * header.height > len(data):
        raise truncated()
    return _opencv(data)


def tiff(data: bytes, header: Header) -> np.ndarray:
    """By Pillow, whose colors of transparent pixels are those stored; OpenCV's libtiff turns them black."""
    from PIL.TiffImagePlugin import TiffImageFile  # as `Image.open` does, but for its own limit of pixels

    _quiet_pillow()
    try:
        with TiffImageFile(io.BytesIO(data)) as image:
            if sorted(image.size) != sorted(header.shape):
                raise damaged("its directory contradicts itself")
            strips = _strips(data, image.tag_v2)
            pixels = np.array(image.convert("RGB"))
            if image.tag_v2.get(_COMPRESSION) == _JPEG:
                tables = image.tag_v2.get(_JPEG_TABLES, b"")[2:-2]  # shared by all, without their begin and end
                for begin, end in strips:
                    _check_jpeg(b"".join([b"\xff\xd8", tables, data[begin + 2 : end]]), header)
            return pixels
    except UnreadableImage:
        raise
    except SyntaxError as error:
        raise UnreadableImage("wrong_format", f"is an unusual TIFF ({error}); convert it to PNG") from None
    except Exception as error:  # a broken or hostile file can raise nearly anything
        raise truncated() if "truncated" in str(error) else damaged(str(error)) from None


def _strips(data: bytes, tags: Mapping[int, Any]) -> list[tuple[int, int]]:
    """Begin and end of each strip or tile of a TIFF, all within the file."""
    offsets, lengths = (tags.get(tag, ()) for tag in (_TILES if _TILES[0] in tags else _STRIPS))
    if not offsets or len(offsets) != len(lengths) or sum(lengths) > len(data):
        raise damaged("its directory does not say where its pixels are")
    strips = [(offset, offset + length) for offset, length in zip(offsets, lengths, strict=True)]
    if max(end for _, end in strips) > len(data):
        raise truncated()
    return strips


def _check_jpeg(strip: bytes, header: Header) -> None:
    """Raises `UnreadableImage` when libjpeg warns of a TIFF's strip or tile; inside libtiff nobody hears it."""
    of_strip = headers.read(strip)
    headers.check(of_strip, max(header.tile, header.width * header.height))
    jpeg(strip, of_strip)


@functools.cache
def _quiet_pillow() -> None:
    """Keep from the terminal what Pillow and its libtiff say of a file; what matters of it is raised, too."""
    import PIL._imaging

    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with contextlib.suppress(OSError, AttributeError):  # where libtiff is no library of its own
        ctypes.CDLL(PIL._imaging.__file__).TIFFSetErrorHandler(None)


def _png_parts(data: bytes, header: Header) -> tuple[list[memoryview], list[memoryview]]:
    """The palette's chunk, if the image needs one, and those of the pixels; every checksum is right."""
    palette: list[memoryview] = []
    stream: list[memoryview] = []
    view, at, name = memoryview(data), len(headers.PNG), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise truncated()
        length, name = struct.unpack_from(">I4s", data, at)
        begin, at = at, at + 12 + length
        if at > len(data):
            raise truncated()
        if zlib.crc32(view[begin + 4 : at - 4]) != int.from_bytes(view[at - 4 : at]):
            raise damaged(f"wrong checksum of its part at byte {begin}")
        if name == b"IDAT":
            stream.append(view[begin:at])
        elif name == b"PLTE":
            palette.append(view[begin:at])
        elif name[:1].isupper() and not (name == b"IHDR" and begin == len(headers.PNG)) and name != b"IEND":
            raise damaged(f"part {name!r} at byte {begin} has no meaning there")
    if header.colors != "palette":
        return [], stream  # a palette there is a suggestion
    if len(palette) != 1 or not 12 < len(palette[0]) <= 12 + 3 * 2**header.bits or len(palette[0]) % 3:
        raise damaged("its palette is missing or of a wrong length")
    return palette, stream


def _check_scanlines(stream: bytes, bits: int, colors: int, interlaced: int, header: Header) -> None:
    """Raises `UnreadableImage` unless the zlib stream of a PNG holds the scanlines that its header promises."""
    size, filters = 0, []
    for left, top, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        width, height = -((left - header.width) // across), -((top - header.height) // down)
        if width > 0 and height > 0:
            line = 1 + (width * bits * _PNG_CHANNELS[colors] + 7) // 8
            filters.append(slice(size, size + line * height, line))
            size += line * height
    inflater = zlib.decompressobj()
    try:
        lines = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise damaged(str(error)) from None
    if not inflater.eof and len(lines) <= size:
        raise truncated()
    values = np.frombuffer(lines, np.uint8)
    if len(lines) != size or inflater.unused_data or any(values[part].max() >= _PNG_FILTERS for part in filters):
        raise damaged("its pixels do not fit its header")


def _opencv(data: bytes) -> np.ndarray:
    """RGB pixels of an image of 1, 3 or 4 channels."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise damaged(error.err) from None
    if pixels is None or pixels.dtype != np.uint8:
        raise damaged("OpenCV cannot decode it")
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
