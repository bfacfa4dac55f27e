"""APACC: slices and text files of boxes become crops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.data.importers import Options, apacc, load
from cervix_tf.data.importing import crops
from cervix_tf.errors import InputError
from tests.data.imported import picture

SLICES = {
    "train/10030_18_18000_136000": "0 0.25 0.5 0.2 0.1\n3 0.95 0.5 0.1 0.1\n",
    "test/77_19_0_2000": "1 0.5 0.5 0.1 0.1\n\n2 0.5 0.5 1 1\n",
}


def apacc_copy(root: Path, images: str = "images", labels: str = "labels", slices: dict[str, str] = SLICES) -> Path:
    for name, lines in slices.items():
        part, stem = name.split("/")
        picture(root / part / images / f"{stem}.png", 100, 100)
        (root / part / labels).mkdir(parents=True, exist_ok=True)
        (root / part / labels / f"{stem}.txt").write_text(lines)
    return root


@pytest.mark.parametrize("labels", ["labels", "images"])
def test_boxes_become_crops_grouped_by_smear_wherever_the_text_files_lie(labels: str, tmp_path: Path) -> None:
    got = load("apacc", apacc_copy(tmp_path / "apacc", labels=labels), Options(crops=tmp_path / "crops"))
    rows = got.manifest.rows
    assert list(zip(rows["path"], rows["group"], rows["split"], rows["width"], rows["height"], strict=True)) == [
        ("bothcells/10030_18_18000_136000_2.png", "smear 10030_18", "train", 10, 10),
        ("healthy/10030_18_18000_136000_1.png", "smear 10030_18", "train", 20, 10),
        ("rubbish/77_19_0_2000_1.png", "smear 77_19", "test", 10, 10),
        ("unhealthy/77_19_0_2000_3.png", "smear 77_19", "test", 100, 100),
    ]
    assert got.left_out == []
    assert "expected 107 groups, found 2: 105 missing" in got.notes


def test_a_box_is_where_its_center_and_size_say(tmp_path: Path) -> None:
    root = apacc_copy(tmp_path / "apacc")
    slice_ = np.full((200, 100, 3), 220, np.uint8)
    slice_[90:110, 15:35] = 20  # center (25, 100), 20 x 20: a quarter, a half, a fifth and a tenth of the slice
    assert cv2.imwrite(str(root / "train" / "images" / "10030_18_18000_136000.png"), slice_)
    load("apacc", root, Options(crops=tmp_path / "crops"))
    crop = cv2.imread(str(tmp_path / "crops" / "healthy" / "10030_18_18000_136000_1.png"))
    assert crop.shape == (20, 20, 3)
    assert (crop == 20).all()


def test_folders_of_other_names_leave_the_split_open_which_is_said(tmp_path: Path) -> None:
    slices = {name.replace("train/", "a/").replace("test/", "b/"): lines for name, lines in SLICES.items()}
    got = load("apacc", apacc_copy(tmp_path / "apacc", slices=slices), Options(crops=tmp_path / "crops"))
    assert set(got.manifest.rows["split"]) == {""}
    assert any("4 of 4 cells are in no folder called train or test" in note for note in got.notes)


def test_a_slice_of_another_name_is_its_own_group_which_is_said(tmp_path: Path) -> None:
    got = load(
        "apacc",
        apacc_copy(tmp_path / "a", slices={"train/one": "0 0.5 0.5 0.1 0.1\n"}),
        Options(crops=tmp_path / "crops"),
    )
    assert list(got.manifest.rows["group"]) == ["slice one"]
    assert any("1 slices are not named <smear>_<x>_<y>" in note for note in got.notes)


def test_of_a_slice_that_lies_in_both_parts_one_copy_counts(tmp_path: Path) -> None:
    stem, lines = "77_19_0_2000", SLICES["test/77_19_0_2000"]
    root = apacc_copy(tmp_path / "apacc", slices={f"train/{stem}": lines, f"test/{stem}": lines})
    got = load("apacc", root, Options(crops=tmp_path / "crops"))
    assert set(got.manifest.rows["split"]) == {"test"}
    assert got.left_out == [(f"train/images/{stem}.png", f"copy of test/images/{stem}.png")]


def test_what_has_no_partner_and_a_box_around_no_pixel_are_left_out_by_name(tmp_path: Path) -> None:
    root = apacc_copy(
        tmp_path / "apacc", slices={**SLICES, "test/77_19_0_4000": "0 1 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n"}
    )
    picture(root / "test" / "images" / "77_19_0_6000.png")
    (root / "classes.txt").write_text("healthy\n")
    got = load("apacc", root, Options(crops=tmp_path / "crops"))
    assert dict(got.left_out) == {
        "classes.txt": "text file without a picture of its name",
        "test/images/77_19_0_4000.png line 1": "its center (1, 0.5) is outside the field",
        "test/images/77_19_0_6000.png": "no cell of this picture is annotated",
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("4 0.5 0.5 0.1 0.1", "class number '4' is not one of 0 to 3"),
        ("healthy 0.5 0.5 0.1 0.1", "class number 'healthy' is not one of 0 to 3"),
        ("0 0.5 0.5 0.1", "'0 0.5 0.5 0.1' is not a class number and four numbers of a box"),
        ("0 0.5 0.5 0.1 0.1 0.9", "'0 0.5 0.5 0.1 0.1 0.9' is not a class number and four numbers of a box"),
        ("0 50 0.5 0.1 0.1", "x '50' is no part of the slice, from 0 to 1"),
        ("0 0.5 left 0.1 0.1", "y 'left' is no part of the slice"),
        ("0 0.5 0.5 0 0.1", "width '0' is no part of the slice"),
        ("0 0.5 0.5 0.1 nan", "height 'nan' is no part of the slice"),
    ],
)
def test_a_line_that_is_no_box_is_refused_by_file_line_and_value(line: str, said: str, tmp_path: Path) -> None:
    root = apacc_copy(tmp_path / "apacc", slices={"train/1_1_0_0": f"0 0.5 0.5 0.1 0.1\n{line}\n"})
    with pytest.raises(InputError, match=rf"1_1_0_0\.txt: line 2: {said}"):
        load("apacc", root, Options(crops=tmp_path / "crops"))


def test_two_different_text_files_or_slices_of_one_name_are_refused(tmp_path: Path) -> None:
    root = apacc_copy(tmp_path / "apacc", slices={**SLICES, "train/77_19_0_2000": "0 0.5 0.5 0.1 0.1\n"})
    with pytest.raises(InputError, match=r"77_19_0_2000\.txt: two different text files with the same name"):
        load("apacc", root, Options(crops=tmp_path / "crops"))
    (root / "train" / "labels" / "77_19_0_2000.txt").unlink()
    picture(root / "train" / "images" / "77_19_0_2000.png", 100, 100, gray=7)
    with pytest.raises(InputError, match=r"77_19_0_2000\.png: two pictures with the same name"):
        load("apacc", root, Options(crops=tmp_path / "crops"))


@given(
    number=st.integers(0, 3),
    center=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    size=st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1)),
)
def test_every_box_in_the_slice_is_taken_and_none_beside_it(
    number: int, center: tuple[float, float], size: tuple[float, float]
) -> None:
    parts = [str(number), *(f"{value:.6f}" for value in (*center, *size))]
    assert apacc._wrong(parts) == ""
    for at in range(1, 5):
        assert apacc._wrong([*parts[:at], "1.000001", *parts[at + 1 :]]) != ""
        assert apacc._wrong([*parts[:at], "-0.1", *parts[at + 1 :]]) != ""


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    center=st.tuples(st.floats(0, 39), st.floats(0, 39)),
    size=st.tuples(st.floats(0.1, 40), st.floats(0.1, 40)),
)
def test_a_crop_has_the_boxs_size_and_in_its_middle_the_fields_pixel(
    width: int, height: int, center: tuple[float, float], size: tuple[float, float]
) -> None:
    field = np.arange(width * height * 3, dtype=np.uint16).reshape(height, width, 3).astype(np.uint8)
    left, top, wide, high = box = crops.around(*center, *size)
    x, y = left + wide // 2, top + high // 2
    assert abs(x - center[0]) <= 1.5
    assert abs(y - center[1]) <= 1.5
    if 0 <= x < width and 0 <= y < height:
        crop = crops.cut(field, box)
        assert crop.shape == (high, wide, 3)
        assert (crop[high // 2, wide // 2] == field[y, x]).all()
