"""Tables that come with a data set: CSV text as rows that know their line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cervix_tf.errors import InputError

_EXCEL = (".xlsx", ".xls", ".xlsm", ".ods")


@dataclass(frozen=True)
class Row:
    """One line of a table; columns are found whatever their case, spaces and punctuation."""

    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(key(column), "")


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file and the name to call it in messages."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return key(column) in {key(name) for name in self.columns}


def key(column: str) -> str:
    """The column's name without case, spaces, punctuation: `Case Number` and `CaseNumber` are one."""
    return re.sub(r"[\W_]", "", column).casefold()


def find(root: Path, names: Sequence[str]) -> Path | None:
    """The first file called one of `names` (case ignored) in `root` or a folder in it, or None.

    Raises `InputError` when there is only the same table as a spreadsheet.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that the data set was unpacked to")
    near = sorted(path for pattern in ("*", "*/*") for path in root.glob(pattern) if path.suffix)
    for name in names:
        for path in near:
            if path.name.casefold() == name.casefold():
                return path
    stems = {Path(name).stem.casefold() for name in names}
    for path in near:
        if path.stem.casefold() in stems and path.suffix.lower() in _EXCEL:
            raise InputError(f"{path}: is a spreadsheet; save it as {path.stem}.csv (CSV, UTF-8) beside it")
    return None


def need(root: Path, names: Sequence[str]) -> Path:
    """As `find`; raises `InputError` when there is none."""
    path = find(root, names)
    if path is None:
        raise InputError(f"{root}: no {' or '.join(names)} here or one folder down; put the table there")
    return path


def read(path: Path, columns: Sequence[str]) -> Table:
    """The rows of a CSV file (UTF-8; comma, semicolon or tab) that has at least `columns`.

    Raises `InputError` with the line for bytes that are not UTF-8 and rows that are
    too long or too short, and with the columns there are where one is missing.
    """
    if path.suffix.lower() in _EXCEL:
        raise InputError(f"{path}: is a spreadsheet; save it as CSV (UTF-8) and give that file")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path of the table") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give the CSV file inside it") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the table as CSV in UTF-8"
        ) from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not CSV ({error}); export the table again") from None
    if not lines:
        raise InputError(f"{path}: is empty; its first line names the columns {', '.join(columns)}")
    names = lines[0][1]
    for column in columns:
        if key(column) not in map(key, names):
            there = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            raise InputError(f"{path}: no column {column!r}; there are {there}: is this the right table?")
    problems = [
        f"{path}: line {line}: {len(cells)} cells under {len(names)} columns; mend the row"
        for line, cells in lines[1:]
        if len(cells) != len(names)
    ]
    if problems:
        raise InputError("\n".join(problems[:50]))
    keys = [key(name) for name in names]
    rows = tuple(Row(line, dict(zip(keys, cells, strict=True))) for line, cells in lines[1:])
    return Table(path, tuple(names), rows)
