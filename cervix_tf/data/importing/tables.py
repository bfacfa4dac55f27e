"""Where a data set's tables lie; how they are read is `cervix_tf.data.tables`."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Sequence
from pathlib import Path

from cervix_tf.data import spreadsheet, walk
from cervix_tf.data.tables import Row, Table, key, listed, number, read, refuse
from cervix_tf.errors import InputError

_READABLE = (".csv", *spreadsheet.SUFFIXES)
__all__ = ["Row", "Table", "find", "key", "listed", "need", "number", "read", "refuse"]


def find(root: Path, names: Sequence[str], depth: int = 1) -> Path | None:
    """The file called one of `names` in `root` or at most `depth` folders down; .xlsx does for .csv; None without one.

    Case, blanks and punctuation of the names do not count. Raises `InputError` when there are two that
    differ, since either could be the one that counts.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that the data set was unpacked to")
    wanted = {key(Path(name).stem) for name in names}
    near = sorted(path for path in _near(root, depth) if key(path.stem) in wanted)
    for suffix in dict.fromkeys(Path(name).suffix for name in names):
        suffixes = (suffix, *spreadsheet.SUFFIXES, *spreadsheet.UNREADABLE) if suffix == ".csv" else (suffix,)
        found = [path for path in near if path.suffix.lower() in suffixes]
        for other in found[1:]:
            if not filecmp.cmp(found[0], other, shallow=False):
                raise InputError(f"{found[0]} and {other}: tables of the same kind that differ; move one out of {root}")
        if found:
            return found[0]
    return None


def need(root: Path, names: Sequence[str], columns: Sequence[str]) -> Path:
    """As `find`, else the one table in `root` or a folder in it that has `columns`, whatever it is called.

    Raises `InputError` when there is none, or several.
    """
    path = find(root, names)
    if path is not None:
        return path
    fits = [path for path in sorted(_near(root)) if path.suffix.lower() in _READABLE and _has(path, columns)]
    if len(fits) > 1:
        raise InputError(
            f"{' and '.join(map(str, fits))}: all have the columns {', '.join(columns)}; "
            f"call the right one {Path(names[0]).stem}"
        )
    if not fits:
        raise InputError(
            f"{root}: no {' or '.join(names)} (or .xlsx) here or one folder down, and no other table with the columns "
            f"{', '.join(columns)}; put it there"
        )
    return fits[0]


def _has(path: Path, columns: Sequence[str]) -> bool:
    try:
        read(path, columns)
    except InputError:
        return False
    return True


def _near(root: Path, depth: int = 1) -> Iterator[Path]:
    """The files at most `depth` folders below `root`, without images, locks of open spreadsheets and thumbnails."""
    folders = []
    for path in root.iterdir():
        hidden = path.name.startswith((".", "~$")) or path.name.lower().endswith(walk.SUFFIXES)
        if not hidden and path.is_file():
            yield path
        elif depth and path.is_dir() and not walk.strange((path.name,)):
            folders.append(path)
    for folder in folders:
        yield from _near(folder, depth - 1)
