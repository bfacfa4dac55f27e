"""The manifest: a table with one row per image, typed, validated, relative to a data root.

Columns (all may be empty but `path`):

| column | meaning |
|---|---|
| path | POSIX path relative to the data root |
| sha256 | of the file's bytes, 64 hex digits |
| label | class name; empty = unlabeled |
| group | what must stay in one split: woman, visit, slide, cluster image |
| case, view | which images make one input, and their place in it |
| site | federated client |
| device | what took the image: a scanner, camera or colposcope; written only where a row names one |
| split | part prescribed by the source or by `cervix_tf.data split` |
| age | years |
| width, height | pixels |

A cell that begins with = + - @ is written with a ' before it, so that no spreadsheet program runs it as a
formula; `read` takes the ' away again (see `tables`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.data import names, spreadsheet, tables
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

COLUMNS = ("path", "sha256", "label", "group", "case", "view", "site", "device", "split", "age", "width", "height")
TEXT = COLUMNS[:9]
_CONTROL = re.compile("[\x00-\x1f\ud800-\udfff]")  # lone surrogates: file names that are not UTF-8
_LONGEST_NAME = 200
_MOST_NAMED = 5


@dataclass(frozen=True)
class Manifest:
    """Rows of a manifest and the folder that their paths are relative to."""

    rows: pd.DataFrame
    """Columns `COLUMNS`; text columns hold str ("" = empty), age float (NaN = empty), sizes Int64."""
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, keep: pd.Series) -> Manifest:
        """The rows for which the boolean series `keep` holds, in order, numbered from 0."""
        return replace(self, rows=self.rows[keep].reset_index(drop=True))

    def part(self, split: str) -> Manifest:
        """The rows whose `split` is `split`."""
        return self.where(self.rows["split"] == split)

    def paths(self) -> list[str]:
        """Absolute file names, one per row."""
        return [str(self.root / path) for path in self.rows["path"]]


def from_records(
    records: Sequence[Mapping[str, object]],
    root: Path,
    name: str = "rows",
    where: Callable[[int], str] | None = None,
) -> Manifest:
    """A validated manifest from dictionaries of column -> value; missing columns are empty.

    Raises `InputError` as `read` does; `where` says for a message where row `at` comes from, which is else the
    row's number in `name`.
    """
    columns = {
        column: ["" if value is None else str(value) for value in (record.get(column) for record in records)]
        for column in COLUMNS
    }
    return _validated(columns, Path(root), name, where or (lambda at: f"{name}: line {at + 1}"), [])


def read(path: Path, root: Path | None = None) -> Manifest:
    """The manifest in a CSV file, as `tables.read` takes them; `root` defaults to the file's folder.

    Raises `InputError` that lists every wrong row at once: line, column, value, remedy.
    """
    path = Path(path)
    problems: list[str] = []
    table = tables.read(
        path,
        ["path"],
        COLUMNS,
        exact=True,
        missing="make one with `python -m cervix_tf.data import`",
        problems=problems,
    )
    unknown = [column for column, cells in zip(table.header, table.cells, strict=True) if column or any(cells)]
    unknown = [column for column in unknown if column not in COLUMNS]
    if unknown:
        raise InputError(
            f"{path}: {table.unit} {table.header_line}: unknown column {', '.join(map(repr, unknown[:_MOST_NAMED]))}; "
            f"a manifest has {', '.join(COLUMNS)}: rename or remove it, or bring the table in with "
            "`python -m cervix_tf.data import csv`"
        )
    if not len(table) and not problems:
        raise InputError(f"{path}: no rows; a manifest needs one line per image below its header")
    columns = {column: table.column(column) for column in COLUMNS}
    return _validated(columns, Path(root) if root is not None else path.parent, str(path), table.where, problems)


def write(manifest: Manifest, path: Path) -> None:
    """Write the manifest as CSV, whole or not at all: one header line and one line per image.

    Raises `InputError` for a name that says it is something else, such as the spreadsheet it was read from.
    """
    if Path(path).suffix.lower() in (*spreadsheet.SUFFIXES, *spreadsheet.UNREADABLE):
        raise InputError(f"{path}: a manifest is written as CSV; give a name that ends in .csv")
    table = manifest.rows[list(COLUMNS)].copy()
    if (table["device"] == "").all():
        del table["device"]
    table["age"] = table["age"].map(_short).astype(object)
    atomic.write_text(Path(path), tables.csv_text(table))


def is_one(path: Path) -> bool:
    """Whether a table has the columns that `write` gives a manifest, and no others."""
    return tables.has_columns(path, COLUMNS) or tables.has_columns(path, [name for name in COLUMNS if name != "device"])


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """One manifest of several that share a root.

    Raises `InputError` when the roots differ or a path occurs twice.
    """
    roots = {manifest.root.resolve() for manifest in manifests}
    if len(roots) != 1:
        raise InputError(f"manifests of different data roots cannot be joined: {sorted(map(str, roots))}")
    rows = pd.concat([manifest.rows for manifest in manifests], ignore_index=True)
    twice = rows["path"][rows["path"].duplicated()]
    if len(twice):
        raise InputError(f"{twice.iloc[0]}: is in two of the joined manifests; remove one of them")
    return Manifest(rows, manifests[0].root)


def check_labels(manifest: Manifest, classes: Sequence[str], name: str = "manifest") -> None:
    """Raise `InputError` unless every label is empty or one of `classes`, and at least two classes occur."""
    labels = manifest.rows["label"]
    of_class = {names.plain(each): each for each in classes}
    problems = []
    for label, rows in manifest.rows[(labels != "") & ~labels.isin(classes)].groupby("label", sort=False):
        meant = of_class.get(names.plain(str(label)))
        remedy = f"write it {meant!r}" if meant else "fix the label or the class list"
        problems.append(
            f"{name}: {rows['path'].iloc[0]}: label {label!r} is not among the classes {', '.join(classes)} "
            f"({len(rows)} such rows); {remedy}"
        )
    tables.refuse(problems, name)
    present = set(labels) - {""}
    if len(present) < 2:
        what = f"only one class, {present.pop()}," if present else "no label"
        known = f" of {', '.join(classes)}" if len(classes) > 1 else ""
        raise InputError(
            f"{name}: {what} in {amount(len(labels), 'row')}; training and evaluation need at least two classes{known}"
        )


def path_remedy(value: str) -> str:
    """What is wrong with a path, and what to do; "" for one that can stand in a manifest."""
    pure = PurePosixPath(value)
    remedy = ""
    if not value:
        remedy = "is empty; give the image's path relative to the data root"
    elif _CONTROL.search(value):
        remedy = "has control characters or is not UTF-8; rename the file"
    elif "\\" in value:
        remedy = "has backslashes; write folders with /"
    elif pure.is_absolute() or re.match(r"[A-Za-z]:", value):
        remedy = "is absolute; make it relative to the data root"
    elif ".." in pure.parts:
        remedy = "leaves the data root with ..; choose the root above all images"
    elif str(pure) != value or not pure.name:  # two spellings would hide that two rows are one file
        remedy = "has . or an empty part; write folders and file name with one / between them"
    return remedy


def is_age(text: str) -> bool:
    """Whether the text is an age in years, `34.5` or `34,5`."""
    return 0 <= tables.number(text) <= 130


def _validated(
    columns: Mapping[str, Sequence[str]], root: Path, name: str, where: Callable[[int], str], problems: list[str]
) -> Manifest:
    """The manifest of columns of text; `where` says where a row stands, `problems` were found before."""

    def wrong(at: int, column: str, remedy: str) -> None:
        problems.append(f"{where(at)}: {column} {columns[column][at][:_LONGEST_NAME]!r}: {remedy}")

    rows = pd.DataFrame({column: pd.Series(columns[column], dtype=object) for column in COLUMNS})
    remedies = {at: path_remedy(path) for at, path in enumerate(columns["path"]) if not _SOUND_PATH(path)}
    repeats = set(np.flatnonzero(rows["path"].duplicated()).tolist())
    first = {path: at for at, path in reversed(list(enumerate(columns["path"])))} if repeats else {}
    for at in sorted({*remedies, *repeats}):
        remedy = remedies.get(at, "")
        if not remedy and at in repeats:
            remedy = f"stands on {_briefly(where(first[columns['path'][at]]), name)} already; keep one of them"
        if remedy:
            wrong(at, "path", remedy)
    for column, fits, remedy in _FITTING:
        misfits = {value for value in set(columns[column]) if value and not fits(value)}
        for at in np.flatnonzero(rows[column].isin(misfits)).tolist() if misfits else ():
            wrong(at, column, remedy)
    for column in _NAMING:
        problems += _spelt_twice(column, columns[column], name, where)
    both = rows[(rows["case"] != "") & (rows["view"] != "")]
    for at in both.index[both.duplicated(["case", "view"])].tolist():
        wrong(at, "view", f"case {columns['case'][at]!r} has this view already; number them")
    tables.refuse(problems, name)

    ages = {text: tables.number(text) for text in set(columns["age"])}
    rows["age"] = pd.Series([ages[text] for text in columns["age"]], dtype="float64")
    for column in ("width", "height"):
        rows[column] = pd.array([int(text) if text else None for text in columns[column]], dtype="Int64")
    return Manifest(rows, root)


def _spelt_twice(column: str, values: Sequence[str], name: str, where: Callable[[int], str]) -> list[str]:
    """One line for each name that is spelt in several ways which a reader cannot tell apart, with its rows."""
    problems = []
    alike = names.alike(values, names.plain)
    rows_of: dict[str, list[int]] = {value: [] for same in alike for value in same}
    for at, value in enumerate(values if alike else ()):
        if value in rows_of:
            rows_of[value].append(at)
    for same in alike:
        told = []
        for value in same:
            rows = rows_of[value]
            shown = ", ".join(_briefly(where(at), name) for at in rows[:_MOST_NAMED])
            told.append(f"{value!r} ({amount(len(rows), 'row')}: {shown}{', ...' if len(rows) > _MOST_NAMED else ''})")
        problems.append(
            f"{name}: {column} {' and '.join(told)}: differ only in case, blanks or characters that cannot be "
            "seen; write them in one way"
        )
    return problems


def _briefly(place: str, name: str) -> str:
    return place.removeprefix(f"{name}: ")


def _short(age: float) -> str:
    return "" if math.isnan(age) else repr(float(age)).removesuffix(".0")


_PART = r"(?!\.{1,2}(?:/|\Z))[^/\\\x00-\x1f\ud800-\udfff]+"
_SOUND_PATH = re.compile(rf"(?![A-Za-z]:)(?:{_PART}/)*{_PART}").fullmatch
"""Matches what `path_remedy` has nothing against, ten times as fast."""
_NAMING = ("label", "view", "site", "device", "split")
"""Columns whose values name a kind that several rows share: two spellings are a mistake there."""
_NAME_REMEDY = f"has control characters or over {_LONGEST_NAME} characters; shorten it"
_PIXELS = (re.compile(r"[1-9][0-9]{0,5}").fullmatch, "is not a number of pixels; leave it empty if unknown")
_FITTING: tuple[tuple[str, Callable[[str], object], str], ...] = (
    *((column, lambda v: len(v) <= _LONGEST_NAME and not _CONTROL.search(v), _NAME_REMEDY) for column in TEXT[2:]),
    (
        "sha256",
        re.compile(r"[0-9a-f]{64}").fullmatch,
        "is not 64 lower-case hex digits; leave it empty or import again",
    ),
    ("age", is_age, "is not an age in years (0 to 130); leave it empty if unknown"),
    ("width", *_PIXELS),
    ("height", *_PIXELS),
)
"""Column, what a value that is not empty must satisfy, and the remedy if it does not."""
