"""Data sheets: every one can be read and agrees with itself, and differences are said plainly."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from cervix_tf.data import datasheet, importers, manifest
from cervix_tf.errors import InputError


def test_every_importer_of_a_named_data_set_has_a_sheet() -> None:
    assert set(importers.NAMES) - set(datasheet.names()) == {"folder", "csv"}


@pytest.mark.parametrize("name", datasheet.names())
def test_a_sheet_is_whole_and_its_counts_add_up(name: str) -> None:
    sheet = datasheet.read(name)
    assert len(sheet.classes) == len(set(sheet.classes)) >= 3
    assert set(sheet.positive) < set(sheet.classes)
    assert all((sheet.title, sheet.layout, sheet.labels, sheet.grouping, sheet.citation, sheet.terms))
    counts = sheet.expected.per_class
    assert not counts or (set(counts) == set(sheet.classes) and sum(counts.values()) == sheet.expected.images)
    for split, of_split in sheet.expected.per_split_class.items():
        assert set(of_split) == set(sheet.classes)
        assert sum(of_split.values()) == sheet.expected.per_split[split]
    assert "http" not in Path(datasheet._folder() / name / "datasheet.yaml").read_text()


@pytest.mark.parametrize(
    "name",
    [
        *("sipakmed", "cric_crops", "herlev", "pbc", "mobileodt", "mendeley_lbc"),
        *("hicervix", "riva", "riva_challenge", "apacc"),
    ],
)
def test_a_sheets_classes_are_its_importers(name: str) -> None:
    module = importlib.import_module(f"cervix_tf.data.importers.{name}")
    assert datasheet.read(name).classes == module.CLASSES


def test_sheets_hold_the_published_class_counts() -> None:
    assert datasheet.read("herlev").expected.images == 917
    herlev = datasheet.read("herlev")
    assert sum(herlev.expected.per_class[name] for name in herlev.positive) == 675
    assert datasheet.read("cric").expected == datasheet.read("cric_crops").expected


def test_the_cervigrams_training_classes_are_those_of_the_papers_figure_3() -> None:
    counts = datasheet.read("cervigram_visits").expected.per_split_class["train"]
    assert list(counts.values()) == [1540, 469, 854, 140]
    assert all(count % 7 == 0 for count in counts.values())  # whole visits


def test_a_class_that_differs_within_a_split_is_said(tmp_path) -> None:
    records = [{"path": f"{at}.jpg", "label": "normal", "split": "train"} for at in range(3)]
    said = datasheet.differences(datasheet.read("cervigram_visits"), manifest.from_records(records, tmp_path))
    assert "expected 1540 images labeled normal in the train part, found 3: 1537 missing" in said


def test_a_name_without_a_sheet_is_refused() -> None:
    with pytest.raises(InputError, match="no data sheet"):
        datasheet.read("../sipakmed")


def test_differences_name_what_is_missing_what_is_too_much_and_what_is_bad() -> None:
    sheet = datasheet.Datasheet(
        name="x",
        title="x",
        classes=("a", "b"),
        positive=(),
        expected=datasheet.Expected(images=4, groups=2, per_class={"a": 2, "b": 2}, per_split={"train": 3}),
        layout="",
        labels="",
        grouping="",
        citation="",
        terms="",
        known_bad={"*two/1.jpg": "truncated"},
    )
    records: list[dict[str, object]] = [
        {"path": "two/1.jpg", "label": "a", "group": "1"},
        {"path": "2.jpg", "label": "a", "group": "2", "split": "train"},
        {"path": "3.jpg", "label": "a", "group": "2", "split": "train"},
        {"path": "4.jpg", "label": "c", "group": "3", "split": "train"},
    ]
    assert datasheet.differences(sheet, manifest.from_records(records, Path())) == [
        "expected 2 groups, found 3: 1 more",
        "expected 2 images labeled a, found 3: 1 more",
        "expected 2 images labeled b, found 0: 2 missing",
        "label 'c' is not one of the classes a, b",
        "two/1.jpg: known to be bad in the original: truncated",
    ]


def test_nothing_is_said_of_a_copy_that_agrees() -> None:
    sheet = datasheet.read("sipakmed")
    records: list[dict[str, object]] = []
    for label, count in sheet.expected.per_class.items():
        records += [{"path": f"{label}/{n}.jpg", "label": label} for n in range(count)]
    for at, record in enumerate(records):
        record["group"] = str(at % 966)
    assert datasheet.differences(sheet, manifest.from_records(records, Path())) == []
