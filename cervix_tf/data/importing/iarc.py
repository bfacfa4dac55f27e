"""Cases of an IARC image bank: the folders `Case NNN` and the two tables that describe them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cervix_tf.data import names
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

_MOST_NAMED = 5
_NUMBER = re.compile(r"[0-9]+(\.0)?").fullmatch
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
    root: Path, found: ImportedRecords, *, meta_columns: Sequence[str], image_columns: Sequence[str], case_column: str
) -> list[Case]:
    """The cases that have images, by number; images by `Sort` where the table has it, untabled ones last.

    The tables are the spreadsheets as downloaded, banner and all, or the same saved as CSV. Table
    rows without a file, and cases without any, go to `found.left_out`; cases and files that the
    tables lack are named in `found.notes`.
    """
    paths = files.images(root, found)
    of_cases, of_images = [case_column, *meta_columns], [case_column, "File", *image_columns]
    meta = tables.read(tables.need(root, META, of_cases), of_cases)
    images = tables.read(tables.need(root, IMAGES, of_images), of_images, ["Sort", "Type"])
    on_disk = _on_disk(root, paths, found)
    number = _numbers(meta, case_column)
    _check_once(meta, number, lambda row: f"{case_column} {row[case_column]}")
    every = {number(row): Case(_name(number(row)), row) for row in meta}
    number = _numbers(images, case_column)
    _check_once(
        images,
        lambda row: (number(row), names.fold(row["File"])) if row["File"] else row.line,
        lambda row: f"File {row['File']!r} of case {row[case_column]}",
    )
    _check_once(
        images,
        lambda row: (number(row), row["Sort"], names.plain(row["Type"])) if row["Sort"] else row.line,
        lambda row: f"Sort {row['Sort']} of case {row[case_column]} for the type {row['Type']!r}",
    )
    for row in sorted(images, key=lambda row: (number(row), _sort(images, row))):
        case = every.setdefault(number(row), Case(_name(number(row))))
        path = on_disk[number(row)].pop(names.fold(row["File"]), "")
        if path:
            case.images.append((path, row["Type"]))
        else:
            what = f"{images.path.name} {images.unit} {row.line} lists it, no such file"
            found.leave_out(f"{case.name}/{row['File']}", what)
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


def _on_disk(root: Path, paths: Sequence[str], found: ImportedRecords) -> dict[int, dict[str, str]]:
    """Case number -> folded file name -> path.

    Raises `InputError` where two folders have the number of one case (a backup, say, or the other bank), or two
    files of a case have one name but for case: which of them the tables mean cannot be known.
    """
    on_disk: dict[int, dict[str, str]] = defaultdict(dict)
    folders: dict[int, str] = {}
    problems: list[str] = []
    refused: set[str] = set()
    for path in paths:
        pure = PurePosixPath(path)
        match = _CASE.fullmatch(pure.parent.name)
        if match is None:
            found.leave_out(path, "not in a folder called Case NNN")
            continue
        number, folder, name = int(match[1]), pure.parent.as_posix(), names.fold(pure.name)
        first = folders.setdefault(number, folder)
        if first != folder:
            if folder not in refused:
                problems.append(f"{root / first} and {root / folder}: two folders of {_name(number)}; move one away")
            refused.add(folder)
        elif on_disk[number].setdefault(name, path) != path:
            twin = on_disk[number][name]
            problems.append(f"{root / twin} and {root / path}: one name but for case or Unicode form; rename one")
    tables.refuse(problems, str(root))
    return on_disk


def _name(number: int) -> str:
    return f"Case {number:03d}"


def _numbers(table: tables.Table, column: str) -> Callable[[tables.Row], int]:
    wrong = [row for row in table if not _NUMBER(row[column])]
    tables.refuse([f"{row.where}: {column} {row[column]!r} is not a number; fix it" for row in wrong], str(table.path))
    return lambda row: int(row[column].removesuffix(".0"))


def _check_once(table: tables.Table, key: Callable[[tables.Row], object], what: Callable[[tables.Row], str]) -> None:
    """Raise `InputError` that names the lines of what stands in the table more than once."""
    lines: dict[object, list[tables.Row]] = defaultdict(list)
    for row in table:
        lines[key(row)].append(row)
    problems = []
    for rows in lines.values():
        if len(rows) > 1:
            where = " and ".join(str(row.line) for row in rows[:_MOST_NAMED]) + " and more" * (len(rows) > _MOST_NAMED)
            said = f"{what(rows[0])} occurs {len(rows)} times; keep the right row"
            problems.append(f"{table.path}: {table.unit}s {where}: {said}")
    tables.refuse(problems, str(table.path))


def _sort(table: tables.Table, row: tables.Row) -> float:
    if not row["Sort"]:
        return row.line if not table.has("Sort") else float("inf")
    try:
        return float(row["Sort"])
    except ValueError:
        raise InputError(f"{row.where}: Sort {row['Sort']!r} is not a number; fix it or leave it empty") from None


def numbered(view: str, used: dict[str, int]) -> str:
    """`view` the first time, `view_2`, `view_3`, ... after that; `used` counts."""
    used[view] = used.get(view, 0) + 1
    return view if used[view] == 1 else f"{view}_{used[view]}"
