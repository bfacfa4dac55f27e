"""IEEE cervigram visits: seven images sorted by name, and the override table for those that are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data.importers import Options, load
from cervix_tf.data.importers.cervigram_visits import VIEWS
from cervix_tf.errors import InputError


def visit(folder: Path, names: str = "abcdefg") -> None:
    folder.mkdir(parents=True)
    for name in names:
        assert cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((4, 5, 3), np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    visit(tmp_path / "data" / "train" / "0" / "001")
    visit(tmp_path / "data" / "train" / "3" / "001")
    visit(tmp_path / "data" / "test" / "2" / "1")
    return tmp_path / "data"


def overrides(root: Path, *lines: str) -> Options:
    table = root.parent / "overrides.csv"
    table.write_text("\n".join(["visit,file,view", *lines]) + "\n")
    return Options(overrides=table)


def test_seven_images_sorted_by_name_are_the_seven_views(root: Path) -> None:
    rows = load("cervigram_visits", root).manifest.rows
    assert len(rows) == 21
    for _, case in rows.groupby("case"):
        assert list(case["view"]) == list(VIEWS)
    assert dict(rows.groupby("case")["label"].first()) == {
        "test/2/1": "cin2_3",
        "train/0/001": "normal",
        "train/3/001": "cancer",
    }
    assert dict(rows.groupby("case")["split"].first()) == {
        "test/2/1": "test",
        "train/0/001": "train",
        "train/3/001": "train",
    }
    assert (rows["group"] == rows["case"]).all()


def test_a_visit_whose_number_is_that_of_a_class_is_refused_where_its_images_are_a_folder_deeper(root: Path) -> None:
    visit(root / "train" / "3" / "17" / "photos")
    rows = load("cervigram_visits", root).manifest.rows
    assert set(rows[rows["case"] == "train/3/17/photos"]["label"]) == {"cancer"}
    visit(root / "train" / "3" / "1" / "photos")
    with pytest.raises(InputError, match=r"train/3/1/photos: is in folders of two classes \(cin1 and cancer\); name"):
        load("cervigram_visits", root)


def test_folder_names_are_options(tmp_path: Path) -> None:
    visit(tmp_path / "fit" / "healthy" / "v1")
    visit(tmp_path / "held out" / "Type 1" / "v2")
    options = Options(train_folder="fit", test_folder="held out", labels={"healthy": "normal"})
    rows = load("cervigram_visits", tmp_path, options).manifest.rows
    assert set(zip(rows["label"], rows["split"], strict=True)) == {("normal", "train"), ("cin1", "test")}


def test_every_visit_of_another_size_is_named_in_one_error(root: Path) -> None:
    visit(root / "train" / "1" / "six", "abcdef")
    visit(root / "train" / "1" / "eight", "abcdefgh")
    with pytest.raises(InputError) as error:
        load("cervigram_visits", root)
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert "train/1/eight: 8 images" in lines[0]
    assert "train/1/six: 6 images" in lines[1]
    assert all("override table" in line for line in lines)


def test_an_override_swaps_two_files_and_the_rest_keep_their_order(root: Path) -> None:
    options = overrides(root, "train/0/001,a.jpg,green", "train/0/001,f.jpg,acetic_1")
    rows = load("cervigram_visits", root, options).manifest.rows
    case = rows[rows["case"] == "train/0/001"]
    views = {path.rsplit("/", 1)[1]: view for path, view in zip(case["path"], case["view"], strict=True)}
    assert views == {
        "a.jpg": "green",
        "b.jpg": "acetic_2",
        "c.jpg": "acetic_3",
        "d.jpg": "acetic_4",
        "e.jpg": "acetic_5",
        "f.jpg": "acetic_1",
        "g.jpg": "iodine",
    }


def test_an_override_mends_visits_of_six_and_eight_images(root: Path) -> None:
    visit(root / "train" / "1" / "six", "abcdef")
    visit(root / "train" / "1" / "eight", "abcdefgh")
    six = [f"six,{name}.jpg,{view}" for name, view in zip("abcdef", VIEWS[1:], strict=True)]
    imported = load("cervigram_visits", root, overrides(root, *six, "eight,c.jpg,"))
    rows = imported.manifest.rows
    assert list(rows[rows["case"] == "train/1/six"]["view"]) == list(VIEWS[1:])
    assert list(rows[rows["case"] == "train/1/eight"]["view"]) == list(VIEWS)
    assert imported.left_out == [("train/1/eight/c.jpg", "left out by the override table")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nobody,a.jpg,green", "no such visit folder"),
        ("001,a.jpg,green", r"fits train/0/001, train/3/001"),
        ("test/2/1,z.jpg,green", r"file 'z\.jpg': not in test/2/1"),
        ("test/2/1,a.jpg,blue", "view 'blue': is not one of acetic_1"),
    ],
)
def test_an_override_line_that_fits_nothing_is_refused_with_its_number(root: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"overrides\.csv: line 3: .*{said}"):
        load("cervigram_visits", root, overrides(root, "test/2/1,b.jpg,iodine", line))


def test_one_view_or_one_file_told_twice_is_refused(root: Path) -> None:
    options = overrides(root, "test/2/1,a.jpg,green", "test/2/1,b.jpg,green", "test/2/1,a.jpg,iodine")
    with pytest.raises(InputError, match=r"line 3: view 'green'.*\n.*line 4: file 'a\.jpg'"):
        load("cervigram_visits", root, options)
