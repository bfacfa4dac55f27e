"""One folder per class, or a flat copy of one: labels, groups and splits from names."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data.importers import Options, load
from cervix_tf.errors import InputError
from tests.data.imported import picture, rows


def test_folder_takes_class_and_split_from_folders_and_renames_labels(tmp_path: Path) -> None:
    for name in ("train/0/a.png", "val/1/deep/b.png", "cin1/c.tif", "d.jpeg"):
        picture(tmp_path / name)
    got = rows("folder", tmp_path, Options(labels={"0": "normal", "1": "cin1"}))
    assert {path: (row["label"], row["split"]) for path, row in got.items()} == {
        "train/0/a.png": ("normal", "train"),
        "val/1/deep/b.png": ("cin1", "validation"),
        "cin1/c.tif": ("cin1", ""),
        "d.jpeg": ("", ""),
    }
    assert len({row["group"] for row in got.values()}) == 4


def test_folder_knows_testing_for_a_split_and_says_which_split_folders_it_does_not_read(tmp_path: Path) -> None:
    for name in ("Training/x/a.png", "Testing/x/b.png"):
        picture(tmp_path / "above" / name)
    got = rows("folder", tmp_path / "above")
    assert [(row["label"], row["split"]) for row in got.values()] == [("x", "test"), ("x", "train")]
    assert not any("not read as a split" in note for note in load("folder", tmp_path / "above").notes)
    for name in ("x/train/a.png", "x/test/b.png", "y/c.png"):
        picture(tmp_path / "below" / name)
    (said,) = [note for note in load("folder", tmp_path / "below").notes if "not read as a split" in note]
    assert said.startswith("2 images are in folders called train, test or the like below their class folder (first: x/")


def test_a_flat_copy_imports_as_folder_with_groups_from_its_names(tmp_path: Path) -> None:
    for name in ("Dyskeratotic_flat/001_01.bmp", "Dyskeratotic_flat/001_02.bmp", "Parabasal_flat/002_01.bmp"):
        picture(tmp_path / name)
    rows = load("folder", tmp_path, Options(group_pattern=r"(\d+)_\d+")).manifest.rows
    assert list(zip(rows["label"], rows["group"], strict=True)) == [
        ("Dyskeratotic", "001"),
        ("Dyskeratotic", "001"),
        ("Parabasal", "002"),
    ]
    by_class = load("folder", tmp_path, Options(group_pattern=r"(\w+/\d+)_\d+")).manifest.rows
    assert set(by_class["group"]) == {"Dyskeratotic_flat/001", "Parabasal_flat/002"}


def test_a_small_copy_keeps_its_split_and_class(tmp_path: Path) -> None:
    for name in ("train_mini/Type_1_mini/1.jpg", "train_mini/Type_2_mini/2.jpg", "test_mini/Type_1_mini/3.jpg"):
        picture(tmp_path / name)
    imported = load("folder", tmp_path)
    rows = imported.manifest.rows
    assert list(zip(rows["path"].str[-5:], rows["split"], rows["label"], strict=True)) == [
        ("3.jpg", "test", "Type_1"),
        ("1.jpg", "train", "Type_1"),
        ("2.jpg", "train", "Type_2"),
    ]
    assert any("every class folder ends in _mini" in note for note in imported.notes)
    renamed = load("folder", tmp_path, Options(labels={"Type_1_mini": "one"})).manifest.rows
    assert set(renamed["label"]) == {"one", "Type_2"}


def test_an_ending_that_not_every_class_folder_has_stays(tmp_path: Path) -> None:
    picture(tmp_path / "cells_flat" / "a.jpg")
    picture(tmp_path / "cells_round" / "b.jpg")
    assert set(load("folder", tmp_path).manifest.rows["label"]) == {"cells_flat", "cells_round"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(\d+)_\d+", r"x/odd\.jpg: --group-pattern .* does not match 'odd'"),
        (r"(\d*)_?\w+", r"x/odd\.jpg: --group-pattern .* does not match 'odd'"),  # an empty group is none
        (r"\d+", "has 0 groups in parentheses"),
        (r"(\d+)_(\d+)", "has 2 groups"),
        (r"(\d+", "is not a regular expression"),
    ],
)
def test_a_pattern_that_gives_an_image_no_group_is_refused(pattern: str, message: str, tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1_2.jpg")
    picture(tmp_path / "x" / "odd.jpg")
    with pytest.raises(InputError, match=message):
        load("folder", tmp_path, Options(group_pattern=pattern))
