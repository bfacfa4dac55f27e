"""A table of the user's own: one line per image, with whatever is known of it.

The column of paths has to be there, and so has every column that an option names; those that are looked for without
an option may be missing (`USUAL`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import chain
from pathlib import Path

from cervix_tf.data import manifest, names, spreadsheet
from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files, labels, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

LAYOUT = "a CSV with one line per image"
USUAL = {
    "label": ("label",),
    "group": ("woman", "group"),
    "case": ("case",),
    "view": ("view",),
    "site": ("site",),
    "device": ("device", "scanner", "camera"),
    "split": ("split",),
    "age": ("age",),
}
"""Column of the manifest -> what the table may call it where no option names it."""


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a line, in the table's order; raises `InputError` with one line for every wrong cell."""
    table, columns = _read(_table(root, options), options)
    labels.check(options.labels, set(table.column(columns["label"])), table.path)
    found = ImportedRecords(table=table)
    problems: list[str] = []
    names_in = cache(_names_in)
    lines: dict[str, int] = {}
    places: dict[tuple[str, str], int] = {}

    def wrong(at: int, column: str, value: str, remedy: str) -> None:
        problems.append(f"{table.where(at)}: {column} {value!r}: {remedy}")

    cells = zip(*(table.column(column) for column in columns.values()), strict=True)
    for at, (told, row) in enumerate(zip(table.column(options.path_column), cells, strict=True)):
        path, values = _normal(told), dict(zip(columns, row, strict=True))
        if remedy := _wrong_path(root, path, names_in):
            wrong(at, options.path_column, told, remedy)
        elif lines.setdefault(path, at) != at:
            first = f"{table.unit} {table.lines[lines[path]]}"
            wrong(at, options.path_column, told, f"stands on {first} already; keep one")
        if values["age"]:
            if manifest.is_age(values["age"]):
                values["age"] = values["age"].replace(",", ".")
            else:
                wrong(at, columns["age"], values["age"], "is not an age in years; leave it empty")
        place = (values["case"], values["view"])
        if all(place) and places.setdefault(place, at) != at:
            first = f"{table.unit} {table.lines[places[place]]}"
            remedy = f"case {values['case']!r} has this view on {first} already; number them"
            wrong(at, columns["view"], values["view"], remedy)
        values["label"] = options.labels.get(values["label"], values["label"])
        values["split"] = labels.SPLITS.get(values["split"].lower(), values["split"])
        found.add(path, **{**values, "group": values["group"] or values["case"] or path})
    tables.refuse(problems, str(table.path))
    files.note_twins(list(lines), found)
    if strange := sorted({str(record["split"]) for record in found.records} - {"", *labels.SPLITS.values()}):
        found.notes.append(
            f"the column {columns['split']} names {tables.listed(strange, 'splits')}: training takes train, validation "
            "and test; rename them, or leave the column out to have a split drawn"
        )
    alone = sum(record["group"] == record["path"] for record in found.records)
    if alone and any(table.has(columns[column]) for column in ("group", "case")):
        named = columns["group"] if table.has(columns["group"]) else columns["case"]
        found.notes.append(
            f"{alone} of {len(found.records)} rows name no {named}: each counts as a different woman; where a cell is "
            "meant for the rows below it too, fill these"
        )
    known = "the cases are the groups" if table.has(columns["case"]) else "every image is its own group"
    for column, so in (("label", "nothing is labeled"), ("group", known)):
        if not table.has(columns[column]):
            found.notes.append(
                f"{table.path.name} has no column {' or '.join(map(repr, USUAL[column]))}, so {so}; name one with "
                f"--{column}-column; there are {tables.listed(table.header, 'columns')}"
            )
    return found


def _read(path: Path, options: Options) -> tuple[tables.Table, dict[str, str]]:
    """The table, and what each column of the manifest is called in it.

    Raises `InputError` for a column that an option names and the table lacks, and where the table has two of those
    that are looked for without an option.
    """
    told: dict[str, str] = {column: getattr(options, f"{column}_column") for column in USUAL}
    sought = {column: (told[column],) if told[column] else usual for column, usual in USUAL.items()}
    table = tables.read(
        path,
        [options.path_column],
        list(chain(*sought.values())),
        missing="--table is relative to the current folder",
        lacking="name the column of image files by --path-column",
    )
    columns: dict[str, str] = {}
    problems = []
    for column, possible in sought.items():
        here = [name for name in possible if table.has(name)]
        if told[column] and not here:
            there = tables.listed(table.header, "columns")
            problems.append(f"--{column}-column {told[column]}: {path} has no such column; there are {there}")
        elif len(here) > 1:
            problems.append(f"{path}: has a column {here[0]} and a column {here[1]}; say which by --{column}-column")
        columns[column] = here[0] if here else possible[0]
    tables.refuse(problems, str(path))
    return table, columns


def _table(root: Path, options: Options) -> Path:
    if options.table is not None:
        return options.table
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that the table's paths start from")
    kinds = (".csv", *spreadsheet.SUFFIXES)
    here = sorted(path for path in root.iterdir() if path.suffix.lower() in kinds and not path.name.startswith("~$"))
    if len(here) > 1:  # an earlier import may have written a manifest beside the table
        here = [path for path in here if not manifest.is_one(path)] or here
    if len(here) != 1:
        there = ", ".join(path.name for path in here) or "none"
        raise InputError(f"{root}: one .csv or .xlsx file was expected, found {there}; name the table with --table")
    return here[0]


def _normal(path: str) -> str:
    """The path as manifests write it: folders with /, neither `./` nor `//`; what `..` would mean stays."""
    parts = path.replace("\\", "/").split("/")
    return "/".join(part for at, part in enumerate(parts) if part != "." and (part or at == 0))


def _wrong_path(root: Path, path: str, names_in: Callable[[Path], list[str]]) -> str:
    """Why `path` cannot stand in a manifest, and what to do; "" when it can."""
    remedy = manifest.path_remedy(path)
    if remedy:
        return remedy
    file = root / path
    if file.is_file():
        return ""
    if file.exists():
        return f"is {'a folder' if file.is_dir() else 'a pipe or a device'}, no image file; fix the path"
    alike = [each for each in names_in(file.parent) if names.fold(each) == names.fold(file.name)]
    if alike:
        return f"no such file below {root}, but {alike[0]!r}, which differs in case or Unicode form; write it so"
    return f"no such file below {root}; check the name or the root"


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
