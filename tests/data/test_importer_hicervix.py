"""HiCervix: three tables of a class tree, and the images in three folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data import datasheet, groups
from cervix_tf.data.importers import Options, hicervix, load
from cervix_tf.errors import InputError
from tests.data.imported import picture

HEADER = "image_name,class_name,class_id,level_1,level_2,level_3"


def hicervix_copy(root: Path, **more: str) -> Path:
    """A copy with five cells; `more` are lines for a table, by its name."""
    tables = {
        "train": ["a.jpg,MPC,3,negative,MPC,", "b.jpg,AGC,13,AGC,,"],
        "val": ["c.jpg,AGC-ECC-NOS,17,AGC,AGC-NOS,AGC-ECC-NOS"],
        "test": ["d.jpg,HSV,24,microbe,HSV,", "e.jpg,ASC-US,8,ASC,ASC-US,"],
    }
    for name, lines in tables.items():
        for line in lines:
            picture(root / name / line.split(",")[0])
        (root / f"{name}.csv").write_text("\n".join([HEADER, *lines, *filter(None, [more.get(name)])]) + "\n")
    return root


def test_a_row_a_cell_with_its_finest_class_and_the_published_split(tmp_path: Path) -> None:
    got = load("hicervix", hicervix_copy(tmp_path))
    rows = got.manifest.rows
    assert dict(zip(rows["path"], rows["label"], strict=True)) == {
        "train/a.jpg": "MPC",
        "train/b.jpg": "AGC",
        "val/c.jpg": "AGC-ECC-NOS",
        "test/d.jpg": "HSV",
        "test/e.jpg": "ASC-US",
    }
    assert list(rows["split"]) == ["train", "train", "validation", "test", "test"]
    assert got.left_out == []
    assert "expected 40229 images, found 5: 40224 missing" in got.notes


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        (1, ["negative", "AGC", "AGC", "microbe", "ASC"]),
        (2, ["MPC", "AGC", "AGC-NOS", "HSV", "ASC-US"]),
        (3, ["MPC", "AGC", "AGC-ECC-NOS", "HSV", "ASC-US"]),
    ],
)
def test_a_coarser_level_labels_what_has_none_there_by_its_finest(
    level: int, labels: list[str], tmp_path: Path
) -> None:
    got = load("hicervix", hicervix_copy(tmp_path), Options(level=level))
    assert list(got.manifest.rows["label"]) == labels
    assert not any("is not one of the classes" in note for note in got.notes)


def test_that_slides_are_not_known_is_said_by_the_import_and_by_the_audits_doubts(tmp_path: Path) -> None:
    got = load("hicervix", hicervix_copy(tmp_path))
    assert any("no name says which slide or woman" in note for note in got.notes)
    assert groups.doubts(got.manifest) != []


def test_rows_without_a_file_and_files_without_a_row_are_left_out_by_name(tmp_path: Path) -> None:
    root = hicervix_copy(tmp_path, val="gone.jpg,HSIL,11,ASC,HSIL,")
    picture(root / "test" / "more.jpg")
    picture(root / "elsewhere" / "f.jpg")
    (root / "train.csv").unlink()
    got = load("hicervix", root)
    assert dict(got.left_out) == {
        "elsewhere/f.jpg": "not in a folder train, val or test",
        "val/gone.jpg": "val.csv lists it, no such file",
        "train/a.jpg": "not in train.csv",
        "train/b.jpg": "not in train.csv",
        "test/more.jpg": "not in test.csv",
    }
    assert "no train.csv here, so this copy has no train part" in got.notes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x.jpg,CIN2,30,CIN2,,", r"line 4: level_1 'CIN2' is not one of negative, ASC, AGC, microbe"),
        ("x.jpg,HSIL,11,negative,HSIL,", r"line 4: level_2 'HSIL' is not one of Normal, .*, the classes of negative"),
        ("x.jpg,ADC-ECC,19,AGC,AGC-NOS,ADC-ECC", r"line 4: level_3 'ADC-ECC' is no class of level_2 'AGC-NOS'"),
        ("x.jpg,AGC,13,AGC,ADC,", r"line 4: class_name 'AGC' is not the finest level, 'ADC'"),
        ("A.JPG,MPC,3,negative,MPC,", r"line 4: image_name 'A\.JPG' stands on line 2 too"),
    ],
)
def test_a_row_that_is_not_in_the_tree_is_refused_by_line_and_value(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"train\.csv: {said}"):
        load("hicervix", hicervix_copy(tmp_path, train=line))


def test_a_table_of_other_columns_is_refused_with_those_it_has(tmp_path: Path) -> None:
    root = hicervix_copy(tmp_path)
    (root / "val.csv").write_text("image_path,class_id\nc.jpg,17\n")
    with pytest.raises(InputError, match=r"val\.csv.*image_name"):
        load("hicervix", root)


def test_a_level_that_the_tree_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--level 4: HiCervix has the levels 1, 2 and 3"):
        load("hicervix", hicervix_copy(tmp_path), Options(level=4))


def test_the_tree_has_the_29_published_classes_and_what_is_positive_goes_by_its_branches() -> None:
    assert len(set(hicervix.CLASSES)) == 29
    branches = {"ASC", "AGC"}
    below = {name for branch in branches for name in hicervix._TREE[branch]}
    leaves = {leaf for name in below for leaf in hicervix._LEAVES.get(name, ())}
    assert set(datasheet.read("hicervix").positive) == branches | below | leaves
