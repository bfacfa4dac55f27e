"""The one reader of tables: CSV or .xlsx as columns of text that know their lines.

A CSV may be in UTF-8, or in UTF-16 with its mark; have commas, semicolons or tabs between cells, a first
line `sep=;`, a banner above the header. Rows without content are no rows. What has two meanings is
refused with file and line: a quote that is not closed or that swallows rows, rows longer or shorter than the
header, two columns of one name.

Spreadsheet programs run cells that begin with = + - @ or a tab as formulas. So `csv_text` writes a ' before
them, and `read` takes it away again: what is read is what was written.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cervix_tf.data import delimited, names, spreadsheet
from cervix_tf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_MOST_COLUMNS = 1000
_CHUNK = 256  # rows; so few that Python's garbage collector, which would look at every cell again, is not called
_MOST_POOLED = 4096
_MOST_PROBLEMS = 50
_MOST_LISTED = 8
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf", re.IGNORECASE).fullmatch


@dataclass(frozen=True)
class Row:
    """One row of a table; a column that the table lacks is empty."""

    table: Table
    at: int

    def __getitem__(self, column: str) -> str:
        place = self.table.places[column]
        return "" if place is None else self.table.cells[place][self.at]

    @property
    def line(self) -> int:
        """Where it begins in the file, counted from 1."""
        return self.table.lines[self.at]

    @property
    def where(self) -> str:
        """File and line, to begin a message with."""
        return self.table.where(self.at)


@dataclass(frozen=True)
class Table:
    """The rows below a header, column by column."""

    path: Path
    header: tuple[str, ...]
    """The names of the columns as they stand there."""
    header_line: int
    cells: tuple[list[str], ...]
    """One list a column."""
    lines: Sequence[int]
    """The line (of a sheet, the row) of the file in which each row begins, counted from 1."""
    places: Mapping[str, int | None]
    """Column that was asked for -> its number in `cells`, None where the table lacks it."""
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, at) for at in range(len(self)))

    def where(self, at: int) -> str:
        """File and line of the row at position `at`."""
        return f"{self.path}: {self.unit} {self.lines[at]}"

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return self.places[column] is not None

    def column(self, name: str) -> list[str]:
        """The cells of the column; empty ones where there is none."""
        place = self.places[name]
        return [""] * len(self) if place is None else self.cells[place]


def key(column: str) -> str:
    """The column's name without case, blanks and punctuation: `Case Number` and `CaseNumber` are one."""
    return re.sub(r"[\W_]", "", names.plain(column))


def read(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    *,
    exact: bool = False,
    missing: str = "check the path of the table",
    lacking: str = "is this the right table?",
    problems: list[str] | None = None,
) -> Table:
    """The table in a CSV or .xlsx file that has at least `columns`; `optional` names others that are read.

    `exact` is for this program's own tables: columns by their very names, cells with the blanks around
    them. Rows of a wrong length go to `problems`, and are refused where there is no such list. `missing`
    says what to do when there is no such file, `lacking` when it lacks one of `columns`.

    Raises `InputError` as the module says, and with the columns there are where one of `columns` is missing.
    """
    path = Path(path)
    if path.suffix.lower() in spreadsheet.UNREADABLE:
        raise InputError(f"{path}: such spreadsheets are not read; save it as .xlsx or as CSV (UTF-8)")
    reader = _Reader(path, columns, optional, exact, lacking)
    table = reader.of_sheets() if path.suffix.lower() in spreadsheet.SUFFIXES else reader.of_text(missing)
    if problems is None:
        refuse(reader.problems, str(path))
    else:
        problems += reader.problems
    return table


def has_columns(path: Path, columns: Sequence[str]) -> bool:
    """Whether a file is a table of this program's that has these columns and no others."""
    try:
        return set(read(path, columns[:1], exact=True).header) == set(columns)
    except InputError:
        return False


def number(text: str) -> float:
    """The number in a cell, with a decimal point or comma; NaN when it is none."""
    return float(text.replace(",", ".")) if _NUMBER(text) else math.nan


def listed(names: Sequence[str], what: str) -> str:
    """The first names, and how many of `what` there are where that is not all."""
    return ", ".join(names[:_MOST_LISTED]) + (f", ... ({len(names):,} {what})" if len(names) > _MOST_LISTED else "")


def refuse(problems: Sequence[str], name: str) -> None:
    """Raise `InputError` with these lines, at most fifty and the number of the others, if there are any."""
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"{name}: and {more} more problems of these kinds"] if more > 0 else []
        raise InputError("\n".join([*problems[:_MOST_PROBLEMS], *tail]))


def shielded(cell: str) -> str:
    """The cell as it is written: what a spreadsheet program would run as a formula gets a ' before it."""
    return f"'{cell}" if cell and cell[0] in "=+-@\t\r'" and _FORMULA.match(cell) else cell


def unshielded(cell: str) -> str:
    """The cell that `shielded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(table: pd.DataFrame) -> str:
    """The table as CSV, a header line and a line a row; text is `shielded`, missing values are empty."""
    header = [shielded(str(name)) for name in table.columns]
    columns = []
    for at in range(table.shape[1]):
        column = table.iloc[:, at]
        cells = column.astype(object).where(column.notna(), "").tolist()
        columns.append([shielded(cell) if isinstance(cell, str) else cell for cell in cells])
    text = _csv(header, columns, csv.QUOTE_MINIMAL)
    # Python's writer leaves a lone carriage return without quotes, and its reader takes that for the end of a row.
    return _csv(header, columns, csv.QUOTE_NONNUMERIC) if "\r" in text else text


def _csv(header: list[str], columns: list[list[object]], quoting: Literal[0, 2]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=quoting)
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


class _Reader:
    """Finds the header and reads what is below it."""

    def __init__(self, path: Path, columns: Sequence[str], optional: Sequence[str], exact: bool, lacking: str) -> None:
        self.path, self.columns, self.optional, self.exact, self.lacking = path, columns, optional, exact, lacking
        self.problems: list[str] = []
        """Rows of a wrong length."""

    def of_text(self, missing: str) -> Table:
        """The table in a text file."""
        with delimited.Lines(self.path, missing) as lines:
            head = list(islice(lines, 4 * delimited.HEADER_WITHIN))
            found = delimited.header(head, self._is_header)
            if found is None:
                best = max(
                    (list(delimited.first_rows(head, each)) for each in delimited.DELIMITERS),
                    key=lambda rows: max(map(len, rows), default=0),
                )
                raise self._no_header(list(enumerate(best, start=1)), "line")
            delimiter, above = found
            rows = islice(delimited.rows(chain(head, lines), delimiter, self.path), above, None)
            cell_of = f"; a cell with a {delimited.DELIMITERS[delimiter]} in it goes in quotes"
            return self._table(rows, "line", lambda: lines.apostrophes, cell_of)

    def of_sheets(self) -> Table:
        """The table in that sheet of a spreadsheet which has the header; refused where two have."""
        found: dict[str, list[tuple[int, list[str]]]] = {}
        sheets = spreadsheet.sheets(self.path)
        for name, rows in sheets:
            for at, (_, cells) in enumerate(rows[: delimited.HEADER_WITHIN]):
                if self._is_header(cells):
                    found[name] = rows[at:]
                    break
        if not found:
            raise self._no_header(sheets[0][1][: delimited.HEADER_WITHIN] if sheets else [], "row")
        if len(found) > 1:
            raise InputError(
                f"{self.path}: the sheets {' and '.join(map(repr, found))} both have the columns "
                f"{', '.join(self.columns)}; keep the one that counts"
            )
        (rows,) = found.values()
        return self._table(iter(rows), "row", lambda: True, "")

    def _key(self, name: str) -> str:
        return name if self.exact else key(name)

    def _is_header(self, cells: Sequence[str]) -> bool:
        return {self._key(name) for name in self.columns} <= {self._key(cell) for cell in cells[: _MOST_COLUMNS + 1]}

    def _no_header(self, rows: Sequence[tuple[int, Sequence[str]]], unit: str) -> InputError:
        rows = [(line, cells) for line, cells in rows if any(cells)]
        if not rows:
            return InputError(f"{self.path}: is empty; its header names the columns {', '.join(self.columns)}")
        line, there = max(rows, key=lambda row: sum(map(bool, row[1])))
        lacking = next((name for name in self.columns if self._key(name) not in map(self._key, there)), "")
        return InputError(
            f"{self.path}: {unit} {line}: no column {lacking!r}; there are {listed(there, 'columns')}: {self.lacking}"
        )

    def _table(self, rows: Iterator[tuple[int, list[str]]], unit: str, shields: Callable[[], bool], also: str) -> Table:
        """The table whose header is the first of `rows`; `shields` says whether cells may have been `shielded`."""
        header_line, header = next(rows)
        places = self._places(header, f"{self.path}: {unit} {header_line}")
        width = len(header)
        columns: list[list[str]] = [[] for _ in header]
        pools: list[dict[str, str]] = [{} for _ in header]
        lines: list[int] = []
        chunk: list[list[str]] = []

        def take() -> None:
            for column, pool, cells in zip(columns, pools, zip(*chunk, strict=True), strict=False):
                new = tuple(map(unshielded, cells)) if shields() else cells
                # What repeats is kept once: most columns of a large table hold few different values.
                column.extend(map(pool.setdefault, new, new) if len(pool) < _MOST_POOLED else new)
            chunk.clear()

        for line, as_it_stands in rows:
            cells = as_it_stands if self.exact else [cell.strip() for cell in as_it_stands]
            if len(cells) == width and any(cells):
                lines.append(line)
                chunk.append(cells)
                if len(chunk) == _CHUNK:
                    take()
            elif any(cells):
                self.problems.append(
                    f"{self.path}: {unit} {line}: {len(cells)} cells under {width} columns; fix the row{also}"
                )
        take()
        return Table(self.path, tuple(header), header_line, tuple(columns), lines, places, unit)

    def _places(self, header: list[str], where: str) -> dict[str, int | None]:
        """Where each column that is read stands; refused where that has two meanings."""
        if len(header) > _MOST_COLUMNS:
            raise InputError(f"{where}: {len(header):,} columns, at most {_MOST_COLUMNS:,} are read; is it a table?")
        places: dict[str, int | None] = {}
        for name in dict.fromkeys((*self.columns, *self.optional)):
            same = [at for at, column in enumerate(header) if self._key(column) == self._key(name)]
            if len(same) > 1:
                spelt = " and ".join(dict.fromkeys(repr(header[at]) for at in same))
                raise InputError(f"{where}: column {spelt} occurs {len(same)} times; keep or rename one of them")
            places[name] = same[0] if same else None
        return places
