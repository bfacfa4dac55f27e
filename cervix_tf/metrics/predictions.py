"""predictions.csv: what a model said about every image or case, and the seam between models and metrics.

One line an image, or a case where several images make one input:

| column | meaning |
|---|---|
| id | the image's path, or the case; unique |
| group | what must stay in one split (woman, visit, slide); empty = the case, else the id |
| case, view, site, device, age | as in the manifest; may be empty; device is written only where a row names one |
| label | true class; empty = unlabeled |
| p_<class> | probability of the class; the columns' order is the classes' order |

A cell that begins with = + - @ is written with a ' before it, so that no spreadsheet program runs it as a
formula; `read` takes the ' away again (see `tables`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cervix_tf import atomic, progress
from cervix_tf.data import tables
from cervix_tf.data.groups import groups_of
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

TEXT = ("id", "group", "case", "view", "site", "device", "age", "label")
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Probabilities and truth, one row per image or case."""

    table: pd.DataFrame
    """Columns `TEXT` (str, "" = empty; age float, NaN = empty) and one float column `p_<class>` a class."""
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities in [0, 1], (rows, classes)."""
        return self.table[[f"p_{name}" for name in self.classes]].to_numpy(np.float64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """True classes as indices into `classes`, (rows,); -1 = unlabeled."""
        index = {name: at for at, name in enumerate(self.classes)} | {"": -1}
        return np.array([index[label] for label in self.table["label"]], dtype=np.int64)

    @cached_property
    def decisions(self) -> NDArray[np.int64]:
        """The most probable class of each row as an index, (rows,); the first of equals."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def groups(self) -> NDArray[np.object_]:
        """The unit that is drawn as a whole when resampling, (rows,): group, else case, else id."""
        return groups_of(self.table, "id").to_numpy(object)

    def positive(self, positive: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
        """The binary reading, three arrays (rows,): truth, decision and score of "is one of `positive`".

        The decision is whether the most probable class is positive; the score is the
        positive classes' summed probability. An unlabeled row's truth is False.

        Raises `InputError` when `positive` is empty, all classes, or names an unknown one.
        """
        unknown = [name for name in positive if name not in self.classes]
        if unknown or not 0 < len(set(positive)) < len(self.classes):
            raise InputError(
                f"positive classes {', '.join(positive) or '(none)'}: name some, not all, of {', '.join(self.classes)}"
            )
        index = [self.classes.index(name) for name in dict.fromkeys(positive)]
        return (
            np.isin(self.labels, index),
            np.isin(self.decisions, index),
            self.probabilities[:, index].sum(axis=1),
        )

    def where(self, keep: ArrayLike) -> Predictions:
        """The rows for which the boolean array `keep` holds, in order."""
        return Predictions(self.table[np.asarray(keep, dtype=bool)].reset_index(drop=True), self.classes)

    def of(self, ids: Iterable[str]) -> Predictions:
        """The rows of these ids, all of which are there, in this order."""
        return Predictions(self.table.set_index("id", drop=False).loc[list(ids)].reset_index(drop=True), self.classes)


def from_arrays(
    ids: Iterable[str],
    probabilities: ArrayLike,
    classes: Sequence[str],
    *,
    labels: Iterable[str] | None = None,
    groups: Iterable[str] | None = None,
    cases: Iterable[str] | None = None,
    views: Iterable[str] | None = None,
    sites: Iterable[str] | None = None,
    devices: Iterable[str] | None = None,
    ages: Iterable[float] | None = None,
) -> Predictions:
    """Validated predictions from arrays: `probabilities` (rows, classes), the rest one value per row.

    Raises `InputError` as `read` does.
    """
    ids = list(ids)
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape != (len(ids), len(classes)):
        raise ValueError(f"probabilities are {values.shape}, not ({len(ids)} rows, {len(classes)} classes)")
    given = {"id": ids, "group": groups, "case": cases, "view": views, "site": sites, "device": devices}
    given["label"] = labels
    columns = {name: [""] * len(ids) if column is None else list(column) for name, column in given.items()}
    table = pd.DataFrame(columns, dtype=object)
    table.insert(
        TEXT.index("age"),
        "age",
        np.full(len(ids), np.nan) if ages is None else np.array(list(ages), np.float64),
    )
    for at, name in enumerate(classes):
        table[f"p_{name}"] = values[:, at]
    _check(table, tuple(classes), "predictions", lambda at: f"predictions: line {at + 1}")
    return Predictions(table, tuple(classes))


def from_rows(rows: pd.DataFrame, probabilities: ArrayLike, classes: Sequence[str]) -> Predictions:
    """Validated predictions for `rows` of a manifest that have an id: what a pipeline's inputs keep of it.

    Raises `InputError` as `read` does.
    """
    return from_arrays(
        rows["id"],
        probabilities,
        classes,
        labels=rows["label"],
        groups=rows["group"],
        cases=rows["case"],
        views=rows["view"],
        sites=rows["site"],
        devices=rows.get("device"),  # embeddings have none
        ages=rows["age"],
    )


def read(path: Path) -> Predictions:
    """The predictions in a CSV file.

    Raises `InputError` that lists every wrong row: probabilities that are no numbers in
    [0, 1] or do not sum to 1 within 1e-3, unknown labels, ids that occur twice.
    """
    path = Path(path)
    table = tables.read(path, ["id"], TEXT[1:], exact=True, missing="has this run finished?")
    known = dict(zip(table.header, table.cells, strict=True))
    classes = tuple(name[2:] for name in table.header if name.startswith("p_"))
    unknown = [name for name in table.header if name not in TEXT and not name.startswith("p_")]
    top = f"{path}: {table.unit} {table.header_line}"
    if unknown:
        raise InputError(f"{top}: unknown column {unknown[0]!r}; predictions have {', '.join(TEXT)}, p_<class>")
    if len(classes) < 2:
        raise InputError(f"{top}: needs at least two columns p_<class>; is this the right file?")
    if len(known) < len(table.header):
        raise InputError(f"{top}: classes {', '.join(classes)}: one occurs twice; keep one column each")
    if not len(table):
        raise InputError(f"{path}: no rows; evaluate the model on a split that has some")
    tables.refuse(
        [
            f"{table.where(at)}: age {value!r}: is not an age in years (0 to 130); leave it empty if unknown"
            for at, value in enumerate(table.column("age"))
            if value and not 0 <= tables.number(value) <= 130
        ],
        str(path),
    )
    columns: dict[str, pd.Series] = {name: pd.Series(table.column(name), dtype=object) for name in TEXT}
    for name in ("age", *(f"p_{each}" for each in classes)):
        cells = table.column(name) if name == "age" else known[name]
        columns[name] = pd.Series([tables.number(cell) for cell in cells], dtype="float64")
    found = pd.DataFrame(columns)
    _check(found, classes, str(path), table.where)
    return Predictions(found, classes)


def write(predictions: Predictions, path: Path) -> None:
    """Write the predictions as CSV, whole or not at all; `read` gives the same numbers to the last bit."""
    table = predictions.table[[*TEXT, *(f"p_{name}" for name in predictions.classes)]].copy()
    if (table["device"] == "").all():
        del table["device"]
    table["age"] = pd.Series(["" if math.isnan(age) else f"{age:g}" for age in table["age"]], table.index, object)
    atomic.write_text(Path(path), tables.csv_text(table))


def aggregate(
    predictions: Predictions, by: Literal["case", "group"] = "case", how: Literal["mean", "max"] = "mean"
) -> Predictions:
    """One row a case (or group): its images' mean probabilities, or each class's maximum made to sum to 1.

    Rows whose `by` column is empty stay alone. View becomes empty; site, device and age stay where all images agree.

    Raises `InputError` when images of one case have different labels or groups, or a row without a case has the name of
    one.
    """
    table = predictions.table
    key = table[by].where(table[by] != "", table["id"])
    if clash := set(table["id"][table[by] == ""]) & (set(table[by]) - {""}):
        raise InputError(f"{by} {min(clash)!r}: is also the id of a row without a {by}; give one of them another name")
    columns = [f"p_{name}" for name in predictions.classes]
    grouped = table.assign(id=key).groupby("id", sort=False)
    probabilities = grouped[columns].agg(how)
    if how == "max":
        probabilities = probabilities.div(probabilities.sum(axis=1), axis=0)
    rows = []
    for name, part in progress.counted(grouped, f"one prediction per {by}", len(grouped), f"{by}s"):
        labels = sorted(set(part["label"]) - {""})
        if len(labels) > 1:
            raise InputError(
                f"{by} {name!r}: its {len(part)} rows are labeled {' and '.join(labels)}: "
                f"fix the labels, or do not aggregate by {by}"
            )
        if by == "case":
            check_one_group(str(name), part["group"])
        ages = part["age"].dropna().unique()
        rows.append(
            {
                "id": name,
                "group": _agreed(part["group"]) or (name if by == "group" else ""),
                "case": _agreed(part["case"]),
                "view": "",
                "site": _agreed(part["site"]),
                "device": _agreed(part["device"]),
                "age": ages[0] if len(ages) == 1 else math.nan,
                "label": labels[0] if labels else "",
            }
        )
    result = pd.DataFrame(rows, columns=list(TEXT)).astype({name: object for name in TEXT if name != "age"})
    for column in columns:
        result[column] = probabilities[column].to_numpy()
    return Predictions(result, predictions.classes)


def check_apart(validation: Predictions, tested: Predictions, where: str, why: str) -> None:
    """Raise `InputError`, which `where` begins, when both have rows of one group; `why` says what that spoils."""
    if shared := set(validation.groups) & set(tested.groups):
        count = amount(len(shared), "group")
        raise InputError(
            f"{where}: validation and test share {count}, {min(shared)} for example; {why}: give the manifest.csv that "
            "the model's own run wrote (with --root FOLDER OF THE IMAGES), or rows that are split by group"
        )


def check_one_group(case: str, groups: pd.Series) -> None:
    """Raise `InputError` when the rows of one case are of several groups: two women's `visit 1` are two cases."""
    if len(several := sorted(groups.unique())) > 1:
        raise InputError(
            f"case {case!r}: its rows have several values of group ({', '.join(map(repr, several))}); give each case a "
            "name of its own, such as woman and visit together"
        )


def _agreed(values: pd.Series) -> str:
    different = values.unique()
    return str(different[0]) if len(different) == 1 else ""


def _check(table: pd.DataFrame, classes: tuple[str, ...], name: str, where: Callable[[int], str]) -> None:
    if len(set(classes)) != len(classes):
        raise InputError(f"{name}: classes {', '.join(classes)}: one occurs twice; keep one column each")
    problems: list[tuple[int, str]] = []
    values = table[[f"p_{each}" for each in classes]].to_numpy(np.float64)
    fine = np.isfinite(values) & (values >= 0) & (values <= 1)
    for at in np.flatnonzero(~fine.all(axis=1)).tolist():
        which = int(np.flatnonzero(~fine[at])[0])
        problems.append((at, f"p_{classes[which]} {values[at, which]}: is not a probability in [0, 1]; predict again"))
    with np.errstate(invalid="ignore"):
        sums = values.sum(axis=1)
    for at in np.flatnonzero(fine.all(axis=1) & (np.abs(sums - 1) > SUM_TOLERANCE)).tolist():
        problems.append((at, f"probabilities sum to {sums[at]:.6g}, not 1: are these logits, or is a class missing?"))
    for at in np.flatnonzero(~table["label"].isin([*classes, ""])).tolist():
        problems.append((at, f"label {table['label'][at]!r}: is not among the classes {', '.join(classes)}"))
    for at in np.flatnonzero(table["id"] == "").tolist():
        problems.append((at, "id '': is empty; give the image's path or the case"))
    for at in np.flatnonzero(table["id"].duplicated() & (table["id"] != "")).tolist():
        problems.append((at, f"id {table['id'][at]!r}: occurs twice; keep one of the rows"))
    tables.refuse([f"{where(at)}: {text}" for at, text in sorted(problems)], name)
