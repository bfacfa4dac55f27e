"""Data sheets: what a data set should hold, and how a copy differs from that."""

from __future__ import annotations

import fnmatch
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cervix_tf.errors import InputError

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest


@dataclass(frozen=True)
class Expected:
    """Counts in the data set as published; None or a missing key = not published or not known."""

    images: int | None = None
    groups: int | None = None
    cases: int | None = None
    per_class: Mapping[str, int] = field(default_factory=dict)
    per_split: Mapping[str, int] = field(default_factory=dict)
    per_split_class: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Datasheet:
    """One `data_manifests/<name>/datasheet.yaml`."""

    name: str
    title: str
    classes: tuple[str, ...]
    """In the order of a network's outputs."""
    positive: tuple[str, ...]
    """Classes that count as disease in the binary reading; empty where there is none."""
    expected: Expected
    layout: str
    labels: str
    """Where the labels come from."""
    grouping: str
    """What a group is, and what it cannot rule out."""
    citation: str
    terms: str
    known_bad: Mapping[str, str] = field(default_factory=dict)
    """Shell pattern of a path -> what is wrong with the file."""


def names() -> tuple[str, ...]:
    """The data sets that have a sheet."""
    return tuple(sorted(sheet.parent.name for sheet in _folder().glob("*/datasheet.yaml")))


def read(name: str) -> Datasheet:
    """The data sheet of the data set `name`, one of `names()`; raises `InputError` for another name."""
    import yaml

    if name not in names():
        raise InputError(f"{name}: no data sheet; choose from {', '.join(names())}")
    text = (_folder() / name / "datasheet.yaml").read_text(encoding="utf-8")
    return _parsed(name, yaml.safe_load(text))


def differences(sheet: Datasheet, manifest: Manifest) -> list[str]:
    """Sentences on what was found against what the sheet expects; an empty list when all agrees."""
    rows = manifest.rows
    expected = sheet.expected
    said = [
        _against("images", expected.images, len(rows)),
        _against("groups", expected.groups, rows["group"][rows["group"] != ""].nunique()),
        _against("cases", expected.cases, rows["case"][rows["case"] != ""].nunique()),
    ]
    labels, splits = rows["label"].value_counts(), rows["split"].value_counts()
    for label, count in expected.per_class.items():
        said.append(_against(f"images labeled {label}", count, int(labels.get(label, 0))))
    for split, count in expected.per_split.items():
        said.append(_against(f"images in the {split} part", count, int(splits.get(split, 0))))
    for split, counts in expected.per_split_class.items():
        there = rows["label"][rows["split"] == split].value_counts()
        said += [
            _against(f"images labeled {label} in the {split} part", count, int(there.get(label, 0)))
            for label, count in counts.items()
        ]
    unknown = sorted(set(labels.index) - set(sheet.classes) - {""})
    said += [f"label {label!r} is not one of the classes {', '.join(sheet.classes)}" for label in unknown]
    for pattern, reason in sheet.known_bad.items():
        hits = [path for path in rows["path"] if fnmatch.fnmatchcase(path, pattern)]
        said += [f"{path}: known to be bad in the original: {reason}" for path in hits]
    return [sentence for sentence in said if sentence]


def _against(what: str, expected: int | None, found: int) -> str:
    if expected is None or expected == found:
        return ""
    gap = f"{expected - found} missing" if found < expected else f"{found - expected} more"
    return f"expected {expected} {what}, found {found}: {gap}"


def _folder() -> Path:
    # Not importlib.resources.files: on Python 3.11 it refuses namespace packages of editable installations.
    spec = importlib.util.find_spec("data_manifests")
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in map(Path, places):
        if place.is_dir():
            return place
    raise InputError("data_manifests: the folder of data sheets is not installed; install the package again")


def _parsed(name: str, content: dict[str, Any]) -> Datasheet:
    known = {one.name for one in fields(Datasheet)} - {"name"}
    if unknown := set(content) - known:
        raise InputError(f"data_manifests/{name}/datasheet.yaml: unknown field {sorted(unknown)[0]!r}; remove it")
    values: dict[str, Any] = {
        key: " ".join(value.split()) if isinstance(value, str) else value for key, value in content.items()
    }
    values["classes"] = tuple(values["classes"])
    values["positive"] = tuple(values["positive"])
    values["expected"] = Expected(**values["expected"])
    return Datasheet(name=name, **values)
