"""The paper's tables beside ours: on the terminal, as Markdown, and as `tables.json`.

Numbers are percent, as the papers print them, unless a table names its unit. A row of ours that was not run,
and a row that the paper does not have, stay empty rather than being left out.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cervix_tf import progress, run_dir
from cervix_tf.errors import InputError
from cervix_tf.metrics.intervals import Interval
from cervix_tf.report import formatting

if TYPE_CHECKING:
    from rich.console import Console

IMAGES, COUNTS = "images", "counts"
"""Units of tables of counts: whole numbers, which have no interval."""
_NO_BREAK = "\u00a0"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    paper_bounds: list[tuple[float | None, float | None]]
    """Low and high of each of the paper's numbers, where it prints intervals."""
    ours: list[Measured | None] | None
    row: str
    chosen: str
    """The end of its name, where the run chose that, such as K: runs of other seeds may choose another."""


class Table(TypedDict, total=False):
    """One table of a paper, with ours beside it."""

    number: int | str
    title: str
    columns: list[str]
    rows: list[Row]
    note: str
    unit: str
    """Of every number; percent unless it says otherwise."""
    spread: str
    """What stands behind each number of ours; `[95 % CI]` unless it says otherwise."""


def per_cent(measured: Mapping[str, Any] | Interval) -> Measured:
    """A share, as an interval or as metrics.json holds it, as a table shows it."""
    found = asdict(measured) if isinstance(measured, Interval) else measured
    value, low, high = (None if found[key] is None else 100 * found[key] for key in ("value", "low", "high"))
    return {"value": value, "low": low, "high": high, "n": found["n"], "method": found["method"]}


def line(name: str, source: str, paper: Sequence[float | None] | None, ours: Sequence[Measured | None] | None) -> Row:
    """One line of a table: what it is, the run's row that ours come from, the paper's numbers, ours."""
    return {
        "name": name,
        "row": source,
        "paper": list(paper) if paper is not None else None,
        "ours": list(ours) if ours is not None else None,
    }


def table(
    number: int | str,
    title: str,
    columns: Iterable[str],
    rows: Sequence[Row],
    note: str,
    *,
    unit: str = "",
    spread: str | None = None,
) -> Table:
    """A table; `unit` and `spread` where they are not those that `Table` has unless it says otherwise."""
    made = Table(number=number, title=title, columns=list(columns), rows=list(rows), note=note)
    if unit:
        made["unit"] = unit
    if spread is not None:
        made["spread"] = spread
    return made


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


class Legend:
    """What is said of the numbers of several tables, methods and notes, each once and by its number."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self.texts: list[str] = []
        self.dashes: dict[str, None] = {}
        """What a dash stands for, a line each, in the order of the tables."""

    def mark(self, text: str) -> str:
        """The number of a text, from 1, in superscript digits; empty for an empty text."""
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1).translate(_SUPERSCRIPT)

    def lines(self) -> list[str]:
        """What the numbers, and the dashes, mean, a line each."""
        lines = [f"{str(at).translate(_SUPERSCRIPT)} {text}" for at, text in enumerate(self.texts, 1)]
        return [*lines, *self.dashes]


def marked(table: Table, legend: Legend) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Of each row its name and, a column, the paper's number, ours, and the mark of how ours was measured."""
    nothing: list[None] = [None] * len(table["columns"])
    found = []
    for row in table["rows"]:
        marks = [legend.mark(_method(each)) for each in row.get("ours") or nothing]
        pairs = cells(table, row)
        if any(ours == "–" for _, ours in pairs):
            legend.dashes["– (ours): not measured in this run, or not defined"] = None
        if has_paper(table) and any(theirs == "–" for theirs, _ in pairs):
            legend.dashes["– (paper): not given"] = None
        found.append((row["name"], [(*pair, mark) for pair, mark in zip(pairs, marks, strict=True)]))
    return found


def has_paper(table: Table) -> bool:
    """Whether the paper has any of the table's numbers."""
    return any(value is not None for row in table["rows"] for value in row.get("paper") or ())


def console(tables: Sequence[Table], to: Console | None = None) -> None:
    """Print every table: a cell holds the paper's number, below it ours, below that its interval; then the legend."""
    import rich.box
    from rich.markup import escape
    from rich.table import Table as Grid

    to, legend = to or progress.console(), Legend()
    for table in tables:
        paper = has_paper(table)
        note = legend.mark(table.get("note", ""))
        rows = marked(table, legend)
        texts = [
            [(f"{theirs}\n" if paper else "") + _folded(ours, mark) for theirs, ours, mark in row] for _, row in rows
        ]
        room = to.width - 19 - max(5, len(spread(table)))  # a row's name, the words paper and ours, margins
        if sum(_widths(texts)) > room:  # an interval on two lines rather than a number cut off
            texts = [[text.replace(",", ",\n") for text in row] for row in texts]
        widths, share = _widths(texts), room // max(len(table["columns"]), 1)
        grid = Grid(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        grid.add_column("", min_width=14, overflow="fold")
        grid.add_column("", style="dim", no_wrap=True)
        for at, column in enumerate(table["columns"]):  # a long heading gives way to the numbers
            width = max(widths[at] if widths else 0, share, 3) - 2
            broken = "\n".join(textwrap.wrap(column, width))  # between words and after hyphens, then anywhere
            grid.add_column(escape(broken), justify="right", overflow="fold", max_width=width)
        kinds = ("paper\n" if paper else "") + f"ours\n{escape(spread(table))}"
        for (name, _), of_row in zip(rows, texts, strict=True):
            grid.add_row(escape(name), kinds, *map(escape, of_row), end_section=True)
        to.print(escape(heading(table)) + note, style="table.title", highlight=False)
        to.print(grid)
    for line in legend.lines():
        to.print(escape(line), style="dim")


def markdown(tables: Sequence[Table], legend: Legend | None = None) -> str:
    """The tables in GitHub's Markdown: paper and ours side by side in each cell, ours alone where the paper has none.

    The legend follows, unless one is given, which then has to be printed elsewhere.
    """
    whole = legend or Legend()
    parts = []
    for table in tables:
        paper = has_paper(table)
        sides = "paper | ours" if paper else "ours"
        note = whole.mark(table.get("note", ""))
        lines = [
            f"**{_plain(heading(table))}**{note} ({f'{_unit(table)}{sides} {spread(table)}'.rstrip()})",
            "",
            "| | " + " | ".join(_plain(column) for column in table["columns"]) + " |",
            "|---|" + "---:|" * len(table["columns"]),
        ]
        for name, of_row in marked(table, whole):
            texts = [(f"{theirs} \\| " if paper else "") + ours + mark for theirs, ours, mark in of_row]
            lines.append(f"| {_plain(name)} | " + " | ".join(texts).replace(_NO_BREAK, " ") + " |")
        parts.append("\n".join(lines))
    if legend is None:
        parts.append("\n".join(f"{_plain(line)}  " for line in whole.lines()))
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def heading(table: Table) -> str:
    """`Table 6. Title`, or the title alone where the table has no number."""
    number, title = table.get("number"), table.get("title", "")
    if isinstance(number, str) and not number.isdecimal():  # such as "Fig. 7"
        return f"{number}. {title}"
    return f"Table {number}. {title}" if number else title


def unit(table: Table) -> str:
    """What the table's numbers are in."""
    return table.get("unit", "percent")


def spread(table: Table) -> str:
    """What stands behind each number of ours."""
    return table.get("spread", "[95 % CI]")


def cells(table: Table, row: Row) -> list[tuple[str, str]]:
    """Of each column the paper's number and ours, `70.8 [55.9, 83.0]`, as text; en dash for none."""
    nothing: list[None] = [None] * len(table["columns"])
    paper, ours = row.get("paper") or nothing, row.get("ours") or nothing
    if unit(table) in (IMAGES, COUNTS):
        return [(_count(a), _count(b["value"] if b else None)) for a, b in zip(paper, ours, strict=True)]
    theirs = [_digits(value, 2) for value in paper]
    if bounds := row.get("paper_bounds"):
        theirs = [text + _bounds(*each) for text, each in zip(theirs, bounds, strict=True)]
    return [(text, _ours(measured)) for text, measured in zip(theirs, ours, strict=True)]


def _method(measured: Measured | None) -> str:
    """n and the method of a number; empty where there is none, or it says itself why."""
    if not measured or not formatting.defined(measured) or not measured.get("method"):
        return ""
    return f"n = {measured.get('n', 'unknown')}, {measured['method']}"


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
        return formatting.reason(measured)
    if "deviation" in measured:
        return f"{_digits(measured['value'], 1)}{_NO_BREAK}±{_NO_BREAK}{_digits(measured['deviation'], 1)}"
    return _digits(measured["value"], 1) + _bounds(measured.get("low"), measured.get("high"))


def _bounds(low: float | None, high: float | None) -> str:
    """` [55.9, 83.0]`; empty where there is neither."""
    ends = _digits(low, 1), _digits(high, 1)
    return "" if ends == ("–", "–") else f" [{ends[0]},{_NO_BREAK}{ends[1]}]"


def _digits(value: float | None, most: int) -> str:
    """`value` with at most `most` decimals, at least one; an en dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:z.{most}f}"
    return text[:-1] if most > 1 and text.endswith("0") else text


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _plain(text: str) -> str:
    """`text` on one line, with the characters that Markdown tables or HTML would act on made harmless."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _widths(texts: list[list[str]]) -> list[int]:
    """Characters that each column of numbers takes in a terminal, with the two around it; [] where there is no row."""
    return [2 + max(len(line) for text in column for line in text.split("\n")) for column in zip(*texts, strict=True)]


def _folded(ours: str, mark: str) -> str:
    """A cell of ours as number and, below it, interval or deviation, without a space that a terminal could break."""
    number, *interval = ours.replace(" [", "\n[").replace(f"{_NO_BREAK}±", "\n±").replace(_NO_BREAK, "").split("\n")
    return "\n".join([number + mark, *interval])
