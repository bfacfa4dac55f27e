"""A table of the user's own: one line per image, with whatever is known of it.

The columns are named in the options; only the one with the path has to be there.
Defaults: path, label, woman or else group, case, view, site, device or else scanner or camera, split, age.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from cervix_tf.data import manifest, names, spreadsheet
from cervix_tf.data.importers import FLAT_COPIES, Options
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

_DEVICES = ("device", "scanner", "camera")
LAYOUT = "a CSV with one line per image"


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a line, in the table's order; raises `InputError` with one line for every wrong cell."""
    source = _table(root, options)
    group_column = options.group_column or _group_column(source, options)
    columns = {
        "label": options.label_column,
        "group": group_column,
        "case": options.case_column,
        "view": options.view_column,
        "site": options.site_column,
        "device": options.device_column or _device_column(source, options),
        "split": options.split_column,
        "age": options.age_column,
    }
    table = tables.read(source, [options.path_column], list(columns.values()))
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
                wrong(at, options.age_column, values["age"], "is not an age in years; leave it empty")
        place = (values["case"], values["view"])
        if all(place) and places.setdefault(place, at) != at:
            first = f"{table.unit} {table.lines[places[place]]}"
            remedy = f"case {values['case']!r} has this view on {first} already; number them"
            wrong(at, options.view_column, values["view"], remedy)
        values["label"] = options.labels.get(values["label"], values["label"])
        found.add(path, **{**values, "group": values["group"] or values["case"] or path})
    tables.refuse(problems, str(table.path))
    files.note_twins(list(lines), found)
    if not table.has(group_column):
        known = "the cases are the groups" if table.has(options.case_column) else "every image is its own group"
        found.notes.append(f"{table.path.name} has no column {group_column!r}: {known}")
    return found


def _group_column(path: Path, options: Options) -> str:
    """The column of groups where none was named: `woman`, as in hospitals' tables, or `group`, as in manifests."""
    table = tables.read(path, [options.path_column], ["woman", "group"])
    if table.has("woman") and table.has("group"):
        raise InputError(f"{path}: has a column woman and a column group; say which by --group-column")
    return "group" if table.has("group") else "woman"


def _device_column(path: Path, options: Options) -> str:
    """The column of devices where none was named."""
    table = tables.read(path, [options.path_column], list(_DEVICES))
    there = [name for name in _DEVICES if table.has(name)]
    if len(there) > 1:
        raise InputError(f"{path}: has a column {there[0]} and a column {there[1]}; say which by --device-column")
    return there[0] if there else _DEVICES[0]


def _table(root: Path, options: Options) -> Path:
    if options.table is not None:
        return options.table
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that the table's paths start from")
    kinds = (".csv", *spreadsheet.SUFFIXES)
    here = sorted(path for path in root.iterdir() if path.suffix.lower() in kinds and not path.name.startswith("~$"))
    if len(here) != 1:
        there = ", ".join(path.name for path in here) or "none"
        raise InputError(
            f"{root}: one .csv or .xlsx file was expected, found {there}; name the table with the option table. "
            f"{FLAT_COPIES}"
        )
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
