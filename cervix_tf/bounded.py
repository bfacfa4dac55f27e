"""Files from elsewhere, read within bounds: bytes, JSON, zip archives and NumPy archives.

Nothing here takes memory or time because a file says so of itself: sizes are checked before
anything is read, and what an archive inflates to before it is inflated.
"""

from __future__ import annotations

import errno
import json
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:  # what only reads JSON starts without NumPy
    import numpy as np

MODEL_BYTES = 1 << 30
"""Most bytes of one model, in a file, a folder or memory: the largest of the zoo, VGG-19, has 560 million."""
_END, _END_64 = b"PK\5\6", b"PK\6\7"
_END_BYTES = 22
_LONGEST_COMMENT = 1 << 16
_DIRECTORY_BYTES = 1 << 20


class Unreadable(ValueError):
    """What is wrong with the bytes, in a few words; whoever knows what they are for adds file and remedy."""


def check_model(size: int) -> None:
    """Raise `Unreadable` for more bytes than a model has."""
    if size > MODEL_BYTES:
        raise Unreadable(f"over {MODEL_BYTES:,} bytes; no exported model is that large")


def size(path: Path) -> int:
    """Bytes of a regular file. Raises `Unreadable` for a device, a pipe or a folder, FileNotFoundError as usual."""
    try:
        found = path.stat()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Unreadable("is a link that leads to itself") from None
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("is not a regular file")
    return found.st_size


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises `Unreadable`, or FileNotFoundError."""
    if (there := size(path)) > most:
        raise Unreadable(f"has {there:,} bytes, more than the {most:,} that such a file may have")
    return path.read_bytes()


def json_value(raw: bytes, most: int) -> Any:
    """The value in at most `most` bytes of JSON. Raises `Unreadable`; a name that stands twice in an object has no
    meaning."""
    if len(raw) > most:
        raise Unreadable(f"has {len(raw):,} bytes, more than the {most:,} that it may have")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise Unreadable(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
        return found

    try:
        return json.loads(raw, object_pairs_hook=unique)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except Unreadable:
        raise
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are such
        raise Unreadable(f"not readable as JSON: {error}") from None


def open_zip(file: BinaryIO, most: int) -> zipfile.ZipFile:
    """The archive at the end of `file`, other bytes before it allowed, whose members inflate to at most `most` bytes.

    Raises `Unreadable` for what is no archive, or one with encrypted or repeated members.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - _END_BYTES - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise Unreadable("no archive at its end")
    (directory,) = struct.unpack_from("<I", tail, at + 12)
    if directory > _DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(_END_64):
        raise Unreadable("its archive has too many members")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError, OSError) as error:
        raise Unreadable(f"not a complete archive: {error}") from None
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if len({member.filename for member in members}) < len(members):
        raise Unreadable("its archive contains two members with the same name")
    if total > most:
        raise Unreadable(f"its archive inflates to {total:,} bytes, more than the {most:,} that it may have")
    if any(member.flag_bits & 1 for member in members):
        raise Unreadable("its archive is encrypted")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise Unreadable("its archive is compressed with something other than deflate")
    return archive


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The whole content of one member of what `open_zip` gave. Raises `Unreadable`."""
    try:
        said = archive.getinfo(name)
        with archive.open(said) as file:  # ZipFile.read inflates first and cuts off what is too much then
            content = file.read(said.file_size)
    except KeyError:
        raise Unreadable(f"its archive has no {name}") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, OSError) as error:
        raise Unreadable(f"{name}: {error}") from None
    if zlib.crc32(content) != said.CRC:  # zipfile does not look where it is told that there is nothing
        raise Unreadable(f"{name}: its checksum does not match: the file is damaged")
    return content


def arrays(path: Path, names: Sequence[str], most: int) -> list[np.ndarray]:
    """The arrays of these names in a NumPy archive of at most `most` bytes, inflated too.

    Raises `Unreadable`, also for arrays of objects and for one that is not as long as it says; FileNotFoundError.
    """
    if (there := size(path)) > most:
        raise Unreadable(f"has {there:,} bytes, more than the {most:,} that such a file may have")
    with path.open("rb") as file, open_zip(file, most) as archive:
        return [_array(member(archive, f"{name}.npy"), name) for name in names]


def _array(raw: bytes, name: str) -> np.ndarray:
    import numpy as np

    file = BytesIO(raw)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise Unreadable(f"{name}: an array of NumPy's format {version}")
        shape, _, kind = headers[version](file)
        if kind.hasobject or min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(raw) - file.tell():
            raise Unreadable(f"{name}: {shape} of {kind} does not match what follows")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except Unreadable:
        raise
    except (ValueError, TypeError, KeyError, EOFError, OverflowError, RecursionError, SyntaxError) as error:
        raise Unreadable(f"{name}: {str(error) or type(error).__name__}") from None
