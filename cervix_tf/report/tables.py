"""The paper's tables beside ours: on the terminal, as Markdown, and as `tables.json`.

Numbers are per cent, as the papers print them, unless a table names its unit. A row of ours that was not run,
and a row that the paper does not have, stay empty rather than being left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cervix_tf import run_dir
from cervix_tf.errors import InputError
from cervix_tf.report import wording

if TYPE_CHECKING:
    from rich.console import Console

IMAGES, COUNTS = "images", "counts"
"""Units of tables of counts: whole numbers, which have no interval."""
_NO_BREAK = "\u00a0"


class Measured(TypedDict, total=False):
    """One number of ours, in the table's unit, never without its interval (or deviation), n and the method."""

    value: float | None
    low: float | None
    high: float | None
    deviation: float
    """Standard deviation over seeds, where value is the mean over them: instead of low and high."""
    n: int
    method: str


class Row(TypedDict, total=False):
    """One line: what it is, the paper's numbers, ours, and the run's row that ours come from."""

    name: str
    paper: list[float | None] | None
    ours: list[Measured | None] | None
    row: str


class Table(TypedDict, total=False):
    """One table of a paper, with ours beside it."""

    number: int | str
    title: str
    columns: list[str]
    rows: list[Row]
    note: str
    unit: str
    """Of every number; per cent unless it says otherwise."""
    spread: str
    """What stands behind each number of ours; `[95 % CI]` unless it says otherwise."""


def write(path: Path, tables: Sequence[Table]) -> None:
    """Write the tables as JSON, whole or not at all.

    Raises `ValueError` when a row has more or fewer numbers than the table has columns.
    """
    if problem := _problem(tables):
        raise ValueError(problem)
    run_dir.write_json(path, list(tables))


def read(path: Path) -> list[Table]:
    """The tables in a file that `write` wrote.

    Raises `InputError` when the file is missing or is not a list of tables.
    """
    tables = run_dir.read_json(path)
    if problem := _problem(tables):
        raise InputError(f"{path}: {problem}; run the paper's last stage again")
    return tables


def console(tables: Sequence[Table], to: Console | None = None) -> None:
    """Print every table: a cell holds the paper's number, below it ours, below that its interval."""
    import rich.box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    to = to or Console()
    for table in tables:
        texts = [[f"{paper}\n{_folded(ours)}" for paper, ours in cells(table, row)] for row in table["rows"]]
        room = to.width - 19 - max(5, len(spread(table)))  # a row's name, the words paper and ours, margins
        if sum(_widths(texts)) > room:  # an interval on two lines rather than a number cut off
            texts = [[text.replace(",", ",\n") for text in row] for row in texts]
        widths, share = _widths(texts), room // max(len(table["columns"]), 1)
        grid = Grid(title=escape(heading(table)), box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
        grid.add_column("", min_width=14, overflow="fold")
        grid.add_column("", style="dim", no_wrap=True)
        for at, column in enumerate(table["columns"]):  # a long heading gives way to the numbers
            width = max(widths[at] if widths else 0, share, 3) - 2
            grid.add_column(escape(column), justify="right", overflow="fold", max_width=width)
        for row, of_row in zip(table["rows"], texts, strict=True):
            kinds = f"paper\nours\n{escape(spread(table))}"
            grid.add_row(escape(row["name"]), kinds, *map(escape, of_row), end_section=True)
        to.print(grid)
        for line in (methods(table), table.get("note", "")):
            if line:
                to.print(escape(line), style="dim")


def markdown(tables: Sequence[Table]) -> str:
    """The tables in GitHub's Markdown, for a README: paper and ours side by side in each cell."""
    parts = []
    for table in tables:
        lines = [
            f"**{_plain(heading(table))}** ({_unit(table)}paper | ours {spread(table)})",
            "",
            "| | " + " | ".join(_plain(column) for column in table["columns"]) + " |",
            "|---|" + "---:|" * len(table["columns"]),
        ]
        for row in table["rows"]:
            texts = [f"{paper} \\| {ours}".replace(_NO_BREAK, " ") for paper, ours in cells(table, row)]
            lines.append(f"| {_plain(row['name'])} | " + " | ".join(texts) + " |")
        notes = [_plain(line) for line in (methods(table), table.get("note", "")) if line]
        parts.append("\n".join([*lines, "", *notes]).rstrip())
    return "\n\n".join(parts) + "\n"


def heading(table: Table) -> str:
    """`Table 6. Title`, or the title alone where the table has no number."""
    number, title = table.get("number"), table.get("title", "")
    if isinstance(number, str) and not number.isdecimal():  # such as "Fig. 7"
        return f"{number}. {title}"
    return f"Table {number}. {title}" if number else title


def unit(table: Table) -> str:
    """What the table's numbers are in."""
    return table.get("unit", "per cent")


def spread(table: Table) -> str:
    """What stands behind each number of ours."""
    return table.get("spread", "[95 % CI]")


def cells(table: Table, row: Row) -> list[tuple[str, str]]:
    """Of each column the paper's number and ours, `70.8 [55.9, 83.0]`, as text; en dash for none."""
    nothing: list[None] = [None] * len(table["columns"])
    paper, ours = row.get("paper") or nothing, row.get("ours") or nothing
    if unit(table) in (IMAGES, COUNTS):
        return [(_count(a), _count(b["value"] if b else None)) for a, b in zip(paper, ours, strict=True)]
    return [(_digits(a, 2), _ours(b)) for a, b in zip(paper, ours, strict=True)]


def methods(table: Table) -> str:
    """One line that says n and the method of every interval in the table; empty when nothing was measured."""
    found: dict[str, dict[str, None]] = {}  # inner dictionaries are ordered sets of column names
    nothing: list[None] = [None] * len(table["columns"])
    for row in table["rows"]:
        for column, measured in zip(table["columns"], row.get("ours") or nothing, strict=True):
            if measured and wording.defined(measured) and measured.get("method"):
                how = f"n = {measured.get('n', 'unknown')}, {measured['method']}"
                found.setdefault(how, {})[column] = None
    said = [f"{', '.join(columns)}: {how}" for how, columns in found.items()]
    return "Ours: " + "; ".join(said) if said else ""


def _problem(tables: Any) -> str:
    """What keeps `tables` from being tables; empty when nothing does."""
    try:
        for table in tables:
            for row in table["rows"]:
                for side in (row.get("paper"), row.get("ours")):
                    if side is not None and len(side) != len(table["columns"]):
                        return (
                            f"table {table.get('number', '?')}, row {row['name']!r}: {len(side)} numbers for "
                            f"{len(table['columns'])} columns"
                        )
    except (AttributeError, KeyError, TypeError) as error:
        return f"is not a list of tables with columns and rows ({error!r})"
    return ""


def _unit(table: Table) -> str:
    return f"{table['unit']}, " if "unit" in table else ""


def _ours(measured: Measured | None) -> str:
    if measured is None:
        return "–"
    if _digits(measured.get("value"), 1) == "–":
        return wording.reason(measured)
    if "deviation" in measured:
        return f"{_digits(measured['value'], 1)}{_NO_BREAK}±{_NO_BREAK}{_digits(measured['deviation'], 1)}"
    low, high = _digits(measured.get("low"), 1), _digits(measured.get("high"), 1)
    bounds = "" if low == high == "–" else f" [{low},{_NO_BREAK}{high}]"
    return _digits(measured["value"], 1) + bounds


def _digits(value: float | None, most: int) -> str:
    """`value` with at most `most` decimals, at least one; an en dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{most}f}"
    return text[:-1] if most > 1 and text.endswith("0") else text


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _plain(text: str) -> str:
    """`text` on one line, with the characters that Markdown tables or HTML would act on made harmless."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _widths(texts: list[list[str]]) -> list[int]:
    """Characters that each column of numbers takes in a terminal, with the two around it; [] where there is no row."""
    return [2 + max(len(line) for text in column for line in text.split("\n")) for column in zip(*texts, strict=True)]


def _folded(ours: str) -> str:
    """A cell of ours as number and, below it, interval or deviation, without a space that a terminal could break."""
    return ours.replace(" [", "\n[").replace(f"{_NO_BREAK}±", "\n±").replace(_NO_BREAK, "")
