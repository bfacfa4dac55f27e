"""Cases of an IARC image bank: the folders `Case NNN` and the two tables that describe them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import files, tables
from cervix_tf.data.importers.found import Found
from cervix_tf.errors import InputError

_CASE = re.compile(r"case[ _-]*0*(\d+)", re.IGNORECASE)
META = ("cases.csv", "Cases Meta data.csv", "Cases Metadata.csv")
IMAGES = ("images.csv", "Cases - Images.csv", "Cases Images.csv")


@dataclass
class Case:
    """One case: its line in the table of cases, and its images in the order of the table of images."""

    name: str
    """`Case NNN`, three digits at least."""
    meta: tables.Row | None = None
    """None when the table of cases does not have it."""
    images: list[tuple[str, str]] = field(default_factory=list)
    """(path relative to the root, type as in the table of images; "" when it is not in the table)."""


def cases(
    root: Path, found: Found, *, meta_columns: Sequence[str], image_columns: Sequence[str], case_column: str
) -> list[Case]:
    """The cases that have images, by number; images by `Sort` where the table has it, untabled ones last.

    Table rows without a file, and cases without any, go to `found.left_out`; cases and
    files that the tables lack are named in `found.notes`.
    """
    paths = files.images(root, found)
    meta = tables.read(tables.need(root, META), [case_column, *meta_columns])
    images = tables.read(tables.need(root, IMAGES), [case_column, "File", *image_columns])
    on_disk: dict[int, dict[str, str]] = defaultdict(dict)
    for path in paths:
        folder = PurePosixPath(path).parent.name
        if match := _CASE.fullmatch(folder):
            on_disk[int(match[1])][PurePosixPath(path).name.casefold()] = path
        else:
            found.leave_out(path, "not in a folder called Case NNN")
    number = _numbers(meta, case_column)
    every = {number(row): Case(_name(number(row)), row) for row in meta}
    number = _numbers(images, case_column)
    for row in sorted(images, key=lambda row: (number(row), _sort(images, row))):
        case = every.setdefault(number(row), Case(_name(number(row))))
        path = on_disk[number(row)].pop(row["File"].casefold(), "")
        if path:
            case.images.append((path, row["Type"]))
        else:
            found.leave_out(f"{case.name}/{row['File']}", f"{images.path.name} line {row.line} lists it, no such file")
    for at in sorted(on_disk):
        for path in sorted(on_disk[at].values()):
            every.setdefault(at, Case(_name(at))).images.append((path, ""))
            found.notes.append(f"{path}: not in {images.path.name}, so its type is unknown")
    for case in every.values():
        if not case.images:
            found.leave_out(case.name, "no image of it in this copy")
        elif case.meta is None:
            found.notes.append(f"{case.name}: not in {meta.path.name}, so it has no label")
    return [every[at] for at in sorted(every) if every[at].images]


def _name(number: int) -> str:
    return f"Case {number:03d}"


def _numbers(table: tables.Table, column: str) -> Callable[[tables.Row], int]:
    wrong = [row for row in table if not re.fullmatch(r"\d+(\.0)?", row[column])]
    if wrong:
        raise InputError(
            "\n".join(
                f"{table.path}: line {row.line}: {column} {row[column]!r} is not a number; mend it" for row in wrong
            )
        )
    return lambda row: int(row[column].removesuffix(".0"))


def _sort(table: tables.Table, row: tables.Row) -> float:
    if not row["Sort"]:
        return row.line if not table.has("Sort") else float("inf")
    try:
        return float(row["Sort"])
    except ValueError:
        raise InputError(
            f"{table.path}: line {row.line}: Sort {row['Sort']!r} is not a number; mend it or leave it empty"
        ) from None


def numbered(view: str, used: dict[str, int]) -> str:
    """`view` the first time, `view_2`, `view_3`, ... after that; `used` counts."""
    used[view] = used.get(view, 0) + 1
    return view if used[view] == 1 else f"{view}_{used[view]}"
