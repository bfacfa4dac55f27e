"""The manifest: a table with one row an image, typed, validated, relative to a data root.

Columns (all may be empty but `path`):

| column | meaning |
|---|---|
| path | POSIX path relative to the data root |
| sha256 | of the file's bytes, 64 hex digits |
| label | class name; empty = unlabelled |
| group | the leak unit: woman, visit, slide, cluster image |
| case, view | which images make one input, and their place in it |
| site | federated client |
| split | part prescribed by the source or by `cervix_tf.data split` |
| age | years |
| width, height | pixels |
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from cervix_tf import atomic
from cervix_tf.errors import InputError

COLUMNS = ("path", "sha256", "label", "group", "case", "view", "site", "split", "age", "width", "height")
TEXT = COLUMNS[:8]
_CONTROL = re.compile("[\x00-\x1f\ud800-\udfff]")  # lone surrogates: file names that are not UTF-8
_LONGEST_NAME = 200
_MOST_PROBLEMS = 50


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
        """Absolute file names, one a row."""
        return [str(self.root / path) for path in self.rows["path"]]


def of_records(records: Sequence[dict[str, object]], root: Path, name: str = "rows") -> Manifest:
    """A validated manifest from dictionaries of column -> value; missing columns are empty.

    Raises `InputError` as `read` does; `name` stands in the messages for the file.
    """
    text = [["" if record.get(column) is None else str(record[column]) for column in COLUMNS] for record in records]
    table = pd.DataFrame(text, columns=list(COLUMNS), dtype=object)
    return _validated(table, Path(root), name, range(1, len(table) + 1), [])


def read(path: Path, root: Path | None = None) -> Manifest:
    """The manifest in a CSV file (UTF-8, one header line); `root` defaults to the file's folder.

    Raises `InputError` that lists every wrong row at once: line, column, value, remedy.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give the manifest CSV inside it") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make one with `python -m cervix_tf.data import`") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the table as CSV in UTF-8"
        ) from None
    if "\0" in text:
        raise InputError(f"{path}: holds NUL bytes, so it is no CSV text; export the table again")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    problems: list[str] = []
    try:
        header = next(reader, [])
        _check_header(header, str(path))
        line = reader.line_num + 1
        for row in reader:
            if len(row) == len(header):
                records.append(row)
                lines.append(line)
            elif row:  # a blank line is no row
                problems.append(
                    f"{path}: line {line}: {len(row)} fields, the header has {len(header)}; "
                    "put fields with commas in quotes"
                )
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not CSV ({error}); mend the quotes") from None
    if not records and not problems:
        raise InputError(f"{path}: no rows; a manifest needs one line an image below its header")
    table = pd.DataFrame(records, columns=header, dtype=object).reindex(columns=list(COLUMNS), fill_value="")
    return _validated(table, Path(root) if root is not None else path.parent, str(path), lines, problems)


def write(manifest: Manifest, path: Path) -> None:
    """Write the manifest as CSV, whole or not at all: one header line and one line an image."""
    table = manifest.rows.copy()
    table["age"] = [_short(age) for age in table["age"]]
    atomic.write_text(Path(path), table.to_csv(index=False, columns=list(COLUMNS), lineterminator="\n"))


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
        raise InputError(f"{twice.iloc[0]}: stands in two of the joined manifests; remove one of them")
    return Manifest(rows, manifests[0].root)


def check_labels(manifest: Manifest, classes: Sequence[str], name: str = "manifest") -> None:
    """Raise `InputError` unless every label is empty or one of `classes`, and at least two classes occur."""
    labels = manifest.rows["label"]
    wrong = labels[(labels != "") & ~labels.isin(classes)]
    if len(wrong):
        row = manifest.rows.loc[wrong.index[0]]
        raise InputError(
            f"{name}: {row['path']}: label {row['label']!r} is not among the classes {', '.join(classes)} "
            f"({len(wrong)} such rows); mend the label or the class list"
        )
    present = set(labels) - {""}
    if len(present) < 2:
        what = f"only one class, {present.pop()}," if present else "no label"
        raise InputError(
            f"{name}: {what} in {len(labels)} rows; training and evaluation need at least two of {', '.join(classes)}"
        )


def _check_header(header: list[str], name: str) -> None:
    remedy = f"a manifest has {', '.join(COLUMNS)}"
    unknown = [column for column in header if column not in COLUMNS]
    twice = sorted({column for column in header if header.count(column) > 1})
    if unknown:
        raise InputError(
            f"{name}: line 1: unknown column {', '.join(map(repr, unknown[:_MOST_PROBLEMS]))}; {remedy}: "
            "rename or remove it, or bring the table in with `python -m cervix_tf.data import csv`"
        )
    if twice:
        raise InputError(f"{name}: line 1: column {twice[0]!r} occurs twice; remove one of them")
    if "path" not in header:
        raise InputError(f"{name}: line 1: no column 'path'; {remedy}")


def _validated(table: pd.DataFrame, root: Path, name: str, lines: Sequence[int], problems: list[str]) -> Manifest:
    """The manifest of a table of strings; `lines`: where rows stand in `name`; `problems`: found before."""

    def wrong(at: int, column: str, remedy: str) -> None:
        value = table[column][at][:_LONGEST_NAME]
        problems.append(f"{name}: line {lines[at]}: {column} {value!r}: {remedy}")

    seen: dict[str, int] = {}
    for at, value in enumerate(table["path"]):
        remedy = _path_remedy(value)
        if not remedy and value in seen:
            remedy = f"stands on line {lines[seen[value]]} already; keep one of them"
        if remedy:
            wrong(at, "path", remedy)
        seen.setdefault(value, at)
    for column, fits, remedy in _FITTING:
        for at, value in enumerate(table[column]):
            if value and not fits(value):
                wrong(at, column, remedy)
    both = table[(table["case"] != "") & (table["view"] != "")]
    for at in both.index[both.duplicated(["case", "view"])]:
        wrong(int(at), "view", f"case {table['case'][at]!r} has this view already; number them")
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        tail = [f"{name}: and {more} more problems of these kinds"] if more > 0 else []
        raise InputError("\n".join(problems[:_MOST_PROBLEMS] + tail))

    rows = table[list(COLUMNS)].reset_index(drop=True).astype(dict.fromkeys(TEXT, object))
    rows["age"] = pd.Series([_number(value) for value in rows["age"]], dtype="float64")
    for column in ("width", "height"):
        rows[column] = pd.array([int(value) if value else None for value in rows[column]], dtype="Int64")
    return Manifest(rows, root)


def _path_remedy(value: str) -> str:
    """What is wrong with a path, or ""."""
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


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _short(age: float) -> str:
    return "" if math.isnan(age) else repr(float(age)).removesuffix(".0")


_NAME_REMEDY = f"has control characters or over {_LONGEST_NAME} characters; shorten it"
_FITTING: tuple[tuple[str, Callable[[str], object], str], ...] = (
    *((column, lambda v: len(v) <= _LONGEST_NAME and not _CONTROL.search(v), _NAME_REMEDY) for column in TEXT[2:]),
    (
        "sha256",
        re.compile(r"[0-9a-f]{64}").fullmatch,
        "is not 64 lower-case hex digits; leave it empty or import again",
    ),
    ("age", lambda v: 0 <= _number(v) <= 130, "is not an age in years (0 to 130); leave it empty if unknown"),
    (
        "width",
        re.compile(r"[1-9][0-9]{0,5}").fullmatch,
        "is not a number of pixels; leave it empty if unknown",
    ),
    (
        "height",
        re.compile(r"[1-9][0-9]{0,5}").fullmatch,
        "is not a number of pixels; leave it empty if unknown",
    ),
)
"""Column, what a value that is not empty must satisfy, and the remedy if it does not."""
