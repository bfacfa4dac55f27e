"""A table of the user's own: one line an image, with whatever is known of it.

The columns are named in the options; only the one with the path has to be there.
Defaults: path, label, woman (the group), case, view, site, split, age.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options, tables
from cervix_tf.data.importers.found import Found
from cervix_tf.errors import InputError

LAYOUT = "a CSV with one line an image"
_MOST_PROBLEMS = 50


def read(root: Path, options: Options) -> Found:
    """One row a line, in the table's order; raises `InputError` with one line for every wrong cell."""
    columns = {
        "label": options.label_column,
        "group": options.group_column,
        "case": options.case_column,
        "view": options.view_column,
        "site": options.site_column,
        "split": options.split_column,
        "age": options.age_column,
    }
    table = tables.read(_table(root, options), [options.path_column])
    found = Found()
    problems: list[str] = []
    lines: dict[str, int] = {}
    places: dict[tuple[str, str], int] = {}
    for row in table:
        path = row[options.path_column].replace("\\", "/")
        values = {name: row[column] for name, column in columns.items()}
        where = f"{table.path}: line {row.line}"
        if remedy := _wrong_path(root, path):
            problems.append(f"{where}: {options.path_column} {path!r}: {remedy}")
        elif path in lines:
            problems.append(f"{where}: {options.path_column} {path!r}: stands on line {lines[path]} already; keep one")
        if values["age"] and not _is_age(values["age"]):
            problems.append(f"{where}: {options.age_column} {values['age']!r}: is not an age in years; leave it empty")
        place = (values["case"], values["view"])
        if all(place) and place in places:
            problems.append(
                f"{where}: {options.view_column} {values['view']!r}: case {values['case']!r} has this view "
                f"on line {places[place]} already; number them"
            )
        lines.setdefault(path, row.line)
        places.setdefault(place, row.line)
        values["label"] = options.labels.get(values["label"], values["label"])
        found.add(path, **{**values, "group": values["group"] or values["case"] or path})
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"{table.path}: and {more} more problems of these kinds"] if more > 0 else []
        raise InputError("\n".join(problems[:_MOST_PROBLEMS] + tail))
    if not table.has(options.group_column):
        known = "the cases are the groups" if table.has(options.case_column) else "every image is its own group"
        found.notes.append(f"{table.path.name} has no column {options.group_column!r}: {known}")
    return found


def _table(root: Path, options: Options) -> Path:
    if options.table is not None:
        return options.table
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that the table's paths start from")
    here = sorted(path for path in root.iterdir() if path.suffix.lower() == ".csv")
    if len(here) != 1:
        names = ", ".join(path.name for path in here) or "none"
        raise InputError(f"{root}: one .csv file was expected, found {names}; name the table with the option table")
    return here[0]


def _wrong_path(root: Path, path: str) -> str:
    """Why `path` cannot stand in a manifest, and what to do; "" when it can."""
    pure = PurePosixPath(path)
    if not path:
        return "is empty; give the image's path relative to the root"
    if pure.is_absolute() or path[1:2] == ":":
        return "is absolute; make it relative to the root"
    if ".." in pure.parts:
        return "leaves the root with ..; choose the root above all images"
    if not (root / path).is_file():
        return f"no such file below {root}; check the name or the root"
    return ""


def _is_age(text: str) -> bool:
    try:
        return 0 <= float(text) <= 130
    except ValueError:
        return False
