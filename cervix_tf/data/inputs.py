"""From manifest rows to what goes into a network: single images, or cases of several views in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from cervix_tf.data.manifest import Manifest
from cervix_tf.data.views import kind, number, slots
from cervix_tf.errors import InputError

ROW_COLUMNS = ("id", "group", "case", "view", "site", "device", "age", "label")


@dataclass(frozen=True)
class Inputs:
    """Network inputs, one entry an image or a case, in manifest order."""

    files: tuple[tuple[str, ...], ...]
    """Absolute image files of each input, in the order of `views`; one file each when `views` is empty.
    `images.MISSING`, an empty name, stands for a view that is missing: a black image."""
    labels: np.ndarray
    """Class indices, int32, (inputs,); -1 = unlabeled."""
    rows: pd.DataFrame
    """`ROW_COLUMNS` of each input: what a line of predictions.csv says about it."""
    classes: tuple[str, ...]
    views: tuple[str, ...] = ()
    """Names of the views of a case; empty = single images."""
    aligned: bool = False
    """Whether the views of an input show one place, so that random changes are the same in all of them."""

    def __len__(self) -> int:
        return len(self.files)


def from_images(manifest: Manifest, classes: Sequence[str], view_kind: str = "") -> Inputs:
    """One input a labeled image; with `view_kind`, only images of that kind of view.

    Raises `InputError` when none is left.
    """
    rows = manifest.rows
    keep = rows["label"].isin(classes)
    if view_kind:
        keep &= rows["view"].map(kind) == view_kind
    chosen = manifest.where(keep)
    if not len(chosen):
        wanted = f"{view_kind} images" if view_kind else "images"
        raise InputError(
            f"{manifest.root}: none of {len(rows)} rows are {wanted} labeled with one of "
            f"{', '.join(classes)}; check the columns view and label of the manifest"
        )
    described = chosen.rows.assign(id=chosen.rows["path"])[list(ROW_COLUMNS)]
    return Inputs(
        tuple((path,) for path in chosen.paths()),
        _indices(described["label"], classes),
        described,
        tuple(classes),
    )


def from_every_image(manifest: Manifest, classes: Sequence[str] = ()) -> Inputs:
    """One input an image, labeled or not; a label that is not one of `classes` counts as none."""
    described = manifest.rows.assign(id=manifest.rows["path"])[list(ROW_COLUMNS)]
    files = tuple((path,) for path in manifest.paths())
    return Inputs(files, _indices(described["label"], classes), described, tuple(classes))


def without_case(manifest: Manifest, views: Sequence[str]) -> int:
    """Images of one of these kinds of view that name no case, so that `from_cases` takes none of them."""
    kinds = {kind(view) for view in views}
    return int(((manifest.rows["case"] == "") & manifest.rows["view"].map(kind).isin(kinds)).sum())


def from_cases(
    manifest: Manifest,
    classes: Sequence[str],
    views: Sequence[str],
    *,
    missing: Literal["leave out", "black"] = "leave out",
) -> tuple[Inputs, Counter[str]]:
    """One input a labeled case, and why other cases were left out.

    The images of each kind of view fill its slots as `views.slots` says. A case that lacks a kind is left out, or
    with `missing="black"` taken as long as it has another one: its empty slots stand for black images.

    Raises `InputError` when no case is left or the images of a case differ in label or group.
    """
    need = Counter(kind(view) for view in views)
    left_out: Counter[str] = Counter()
    files, described = [], []
    rows = manifest.rows
    paths, columns = manifest.paths(), {name: rows[name].tolist() for name in ROW_COLUMNS[1:]}
    cases: dict[str, list[int]] = {}
    for at, case in enumerate(columns["case"]):
        if case:
            cases.setdefault(case, []).append(at)
    for case, images in sorted(cases.items()):
        for column in ("label", "group"):
            several = sorted({columns[column][at] for at in images})
            if len(several) > 1:
                raise InputError(
                    f"{manifest.root}: case {case!r} has several values of {column} ({', '.join(several)}); "
                    "give all its images the same"
                )
        first = images[0]
        if columns["label"][first] not in classes:
            left_out["no label among the classes"] += 1
            continue
        by_kind: dict[str, dict[int, str]] = {}
        for at in sorted(images, key=lambda at: paths[at]):
            view = columns["view"][at]
            of_kind = by_kind.setdefault(kind(view), {})
            if of_kind.setdefault(number(view), paths[at]) != paths[at] and kind(view) in need:
                raise InputError(
                    f"{manifest.root}: case {case!r} has two images of the view {view!r}, leading zeros aside: "
                    f"{of_kind[number(view)]} and {paths[at]}; number them in their order"
                )
        lacking = [name for name in need if name not in by_kind]
        if lacking and (missing == "leave out" or len(lacking) == len(need)):
            left_out[f"no {' and no '.join(lacking)} image"] += 1
            continue
        in_order = {name: [some[index] for index in sorted(some)] for name, some in by_kind.items()}
        files.append(tuple(slots(in_order, views)))
        devices = {columns["device"][at] for at in images}
        one = {"id": case, "view": "", "device": devices.pop() if len(devices) == 1 else ""}
        described.append({**{name: columns[name][first] for name in ROW_COLUMNS[1:]}, **one})
    if not files:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "no row names a case"
        raise InputError(
            f"{manifest.root}: no case has {'all' if missing == 'leave out' else 'one'} of {', '.join(need)} "
            f"({reasons}); check the columns case and view"
        )
    table = pd.DataFrame(described, columns=list(ROW_COLUMNS))
    return Inputs(tuple(files), _indices(table["label"], classes), table, tuple(classes), tuple(views)), left_out


def joined(several: Sequence[Inputs]) -> Inputs:
    """All of several inputs of the same classes and views, one after the other."""
    return replace(
        several[0],
        files=tuple(files for each in several for files in each.files),
        labels=np.concatenate([each.labels for each in several]),
        rows=pd.concat([each.rows for each in several], ignore_index=True),
    )


def _indices(labels: pd.Series, classes: Sequence[str]) -> np.ndarray:
    position = {name: at for at, name in enumerate(classes)}
    return np.array([position.get(label, -1) for label in labels], dtype=np.int32)
