"""RIVA: points of several experts, and the challenge's boxes, become crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.data import __main__ as command
from cervix_tf.data import audit, manifest
from cervix_tf.data.importers import Options, load, riva
from cervix_tf.errors import InputError

POINTS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "HSIL_11_5": {
        "annotator_1": [
            {"x": 25, "y": 50.0, "keypointlabels": "HSIL"},
            {"x": 100, "y": 0, "keypointlabels": ["INFL"]},
        ],
        "annotator_2": [{"x": 25, "y": 50, "keypointlabels": "ASCH"}],
    },
    "HSIL_11_6": {"annotator_3": [{"x": 50, "y": 50, "keypointlabels": "ASCUS"}]},
}


def field(path: Path, side: int = 80) -> Path:
    """A field with a dark cell a quarter from the left, halfway down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), 220, np.uint8)
    cv2.circle(pixels, (side // 4, side // 2), 3, (20, 20, 20), -1)
    assert cv2.imwrite(str(path), pixels)
    return path


def zenodo(root: Path, content: object = POINTS) -> Path:
    for name in POINTS:
        field(root / "riva_1.0" / "images" / f"{name}.png")
    (root / "riva_1.0" / "annotations").mkdir()
    (root / "riva_1.0" / "annotations" / "annotations.json").write_text(json.dumps(content))
    return root


def kaggle(root: Path, train: str = "HSIL_11_5.png,20,40,16,16,HSIL,5\n", val: str = "") -> Path:
    header = "image_filename,x,y,width,height,class_name,class\n"
    field(root / "images" / "images" / "train" / "HSIL_11_5.png")
    field(root / "images" / "images" / "val" / "NILM_2_1.png")
    field(root / "images" / "images" / "test" / "SCC_3_1.png")
    (root / "annotations" / "annotations").mkdir(parents=True)
    (root / "annotations" / "annotations" / "train.csv").write_text(header + train)
    val = val or "NILM_2_1.png,10.4,9.6,16,12,ASCUS,3\nNILM_2_1.png,79,79,16,16,ENDO,1\n"
    (root / "annotations" / "annotations" / "val.csv").write_text(header + val)
    (root / "annotations" / "annotations" / "train_sample.csv").write_text(header + train)
    return root


def changed(**point: object) -> dict[str, object]:
    """The points, with the only one of HSIL_11_6 changed."""
    return {**POINTS, "HSIL_11_6": {"annotator_3": [{**POINTS["HSIL_11_6"]["annotator_3"][0], **point}]}}


def test_points_of_the_expert_chosen_become_crops_grouped_by_smear(tmp_path: Path) -> None:
    options = Options(crops=tmp_path / "crops", crop_size=20, annotator="annotator_1")
    got = load("riva", zenodo(tmp_path / "riva"), options)
    rows = got.manifest.rows
    assert dict(zip(rows["path"], rows["label"], strict=True)) == {
        "ASC-US/HSIL_11_6_annotator_3_1.png": "ASC-US",
        "HSIL/HSIL_11_5_annotator_1_1.png": "HSIL",
        "INFL/HSIL_11_5_annotator_1_2.png": "INFL",
    }
    assert set(rows["group"]) == {"smear HSIL_11"}
    assert got.left_out == []
    assert any("annotator_1's in 1 fields, in 1 those of the only expert" in note for note in got.notes)
    crop = cv2.imread(str(tmp_path / "crops" / "HSIL" / "HSIL_11_5_annotator_1_1.png"))
    dark_rows, dark_columns = np.nonzero(crop[..., 0] < 100)
    assert (dark_rows.mean(), dark_columns.mean()) == (10, 10)


def test_fields_that_several_experts_marked_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    root = zenodo(tmp_path / "riva")
    with pytest.raises(
        InputError, match=r"annotations\.json: 1 fields .*HSIL_11_5 by annotator_1, annotator_2.*--annot"
    ):
        load("riva", root, Options(crops=tmp_path / "crops"))
    with pytest.raises(InputError, match=r"--annotator annotator_9: .* names annotator_1, annotator_2, annotator_3"):
        load("riva", root, Options(crops=tmp_path / "crops", annotator="annotator_9"))
    got = load("riva", root, Options(crops=tmp_path / "crops", annotator="annotator_3"))
    assert ("HSIL_11_5", "field that annotator_3 did not mark") in got.left_out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            changed(keypointlabels="CIN2"),
            r"field HSIL_11_6, annotator_3, point 1: keypointlabels 'CIN2' is not one of NILM",
        ),
        (changed(keypointlabels=["NILM", "SCC"]), r"point 1: keypointlabels \['NILM', 'SCC'\] is not one of"),
        (changed(x="50"), "point 1: x '50' is not a number of percent"),
        (changed(y=None), "point 1: y None is not a number"),
        (changed(x=True), "point 1: x True is not a number"),
        (changed(x=float("nan")), "point 1: x nan is not a number"),
        (changed(y=10**400), "point 1: y 1000"),
        ({**POINTS, "HSIL_11_6": {"annotator_3": [7]}}, "point 1: is no point"),
        ({"HSIL_11_6": {"annotator_3": 7}}, "field HSIL_11_6, annotator_3: contains no list of points"),
        ({"HSIL_11_6": [7]}, "field HSIL_11_6: contains no experts by name"),
        ([7], "contains no fields by name"),
    ],
)
def test_a_file_of_points_of_another_form_is_refused_by_field_and_value(
    content: object, said: str, tmp_path: Path
) -> None:
    root = zenodo(tmp_path / "riva", content)
    with pytest.raises(InputError, match=rf"annotations\.json: .*{said}"):
        load("riva", root, Options(crops=tmp_path / "crops", annotator="annotator_3"))


@pytest.mark.parametrize(
    ("content", "said"), [(b'{"HSIL_11_5":\n {', "line 2: not JSON"), (b'{"\xff": 1}', "is not UTF-8")]
)
def test_a_file_of_points_that_is_cut_off_or_no_text_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    root = zenodo(tmp_path / "riva")
    (root / "riva_1.0" / "annotations" / "annotations.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"annotations\.json: {said}"):
        load("riva", root, Options(crops=tmp_path / "crops"))


def test_a_field_whose_name_leads_out_of_the_folder_writes_nothing_there(tmp_path: Path) -> None:
    root = zenodo(tmp_path / "riva", {"../../HSIL_11_6": POINTS["HSIL_11_6"], "HSIL_11_6": POINTS["HSIL_11_6"]})
    crops = tmp_path / "a" / "b" / "crops"
    got = load("riva", root, Options(crops=crops))
    assert ("../../HSIL_11_6", "field is not in this copy, and with it 1 cells") in got.left_out
    assert list((tmp_path / "a").rglob("*.png")) == list(got.manifest.root.rglob("*.png"))
    assert len(got.manifest) == 1


def test_points_outside_and_fields_that_are_missing_are_left_out_by_name(tmp_path: Path) -> None:
    content = {**changed(x=100.5), "LSIL_1_1": POINTS["HSIL_11_6"], "SCC_9_9": {}}
    root = zenodo(tmp_path / "riva", content)
    field(root / "riva_1.0" / "images" / "NILM_4_4.png")
    got = load("riva", root, Options(crops=tmp_path / "crops", annotator="annotator_1"))
    assert dict(got.left_out) == {
        "SCC_9_9": "field that no expert marked",
        "riva_1.0/images/HSIL_11_6.png annotator_3 point 1": "its center (100.5, 50) is outside the field",
        "LSIL_1_1": "field is not in this copy, and with it 1 cells",
        "riva_1.0/images/NILM_4_4.png": "no cell of this picture is annotated",
    }


@given(percent=st.floats(0, 100), size=st.integers(1, 2000))
def test_every_point_from_0_to_100_percent_is_on_a_pixel_of_the_field(percent: float, size: int) -> None:
    pixel = riva._pixel(percent, size)
    assert 0 <= pixel < size
    assert abs(pixel + 0.5 - percent / 100 * size) <= 0.5 + 1e-9


def test_the_challenges_boxes_become_crops_with_its_split(tmp_path: Path) -> None:
    got = load("riva_challenge", kaggle(tmp_path / "riva"), Options(crops=tmp_path / "crops"))
    rows = got.manifest.rows
    assert list(zip(rows["path"], rows["group"], rows["split"], strict=True)) == [
        ("ASC-US/NILM_2_1_1.png", "smear NILM_2", "validation"),
        ("ENDO/NILM_2_1_2.png", "smear NILM_2", "validation"),
        ("HSIL/HSIL_11_5_1.png", "smear HSIL_11", "train"),
    ]
    assert list(zip(rows["width"], rows["height"], strict=True)) == [(16, 12), (16, 16), (16, 16)]
    assert got.left_out == [("images/images/test/SCC_3_1.png", "no cell of this picture is annotated")]
    crop = cv2.imread(str(tmp_path / "crops" / "HSIL" / "HSIL_11_5_1.png"))
    dark_rows, dark_columns = np.nonzero(crop[..., 0] < 100)
    assert (dark_rows.mean(), dark_columns.mean()) == (8, 8)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("HSIL_11_5.png,20,40,16,16,CIN2,5", r"line 2: class_name 'CIN2' is not one of NILM, ENDO, .*ASCUS"),
        ("HSIL_11_5.png,left,40,16,16,HSIL,5", "line 2: x 'left' is no number of pixels"),
        ("HSIL_11_5.png,20,40,0,16,HSIL,5", "line 2: width '0' is no number of pixels"),
        ("HSIL_11_5.png,20,40,16,-3,HSIL,5", "line 2: height '-3' is no number of pixels"),
        ("HSIL_11_5.png,20,40,16,1e9,HSIL,5", "line 2: height '1e9' is no number of pixels"),
        ("HSIL_11_5.png,20,40,16,16,CELL,0", "line 2: class_name 'CELL': these are the boxes of track B"),
    ],
)
def test_a_box_of_another_form_is_refused_by_line_and_value(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"train\.csv: {said}"):
        load("riva_challenge", kaggle(tmp_path / "riva", train=f"{line}\n"), Options(crops=tmp_path / "crops"))


def test_boxes_without_the_columns_are_refused(tmp_path: Path) -> None:
    root = kaggle(tmp_path / "riva")
    (root / "annotations" / "annotations" / "val.csv").write_text("image,xmin,ymin\nNILM_2_1.png,1,2\n")
    with pytest.raises(InputError, match=r"val\.csv.*image_filename"):
        load("riva_challenge", root, Options(crops=tmp_path / "crops"))


def test_a_field_with_boxes_in_both_parts_is_refused_and_a_smear_in_both_is_the_audits_to_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val\.csv: field HSIL_11_5\.png has boxes in train\.csv too"):
        load(
            "riva_challenge", kaggle(tmp_path / "a", val="HSIL_11_5.png,20,40,16,16,HSIL,5\n"), Options(crops=tmp_path)
        )
    root = kaggle(tmp_path / "b", val="HSIL_11_6.png,20,40,16,16,HSIL,5\n")
    field(root / "images" / "images" / "val" / "HSIL_11_6.png")
    got = load("riva_challenge", root, Options(crops=tmp_path / "crops"))
    assert "group_two_splits" in set(audit.audit(got.manifest).findings["kind"])


def test_boxes_outside_and_larger_than_the_field_are_left_out_by_name(tmp_path: Path) -> None:
    lines = "HSIL_11_5.png,200,40,16,16,HSIL,5\nHSIL_11_5.png,40,40,81,16,HSIL,5\nHSIL_11_5.png,0,0,80,80,HSIL,5\n"
    got = load("riva_challenge", kaggle(tmp_path / "riva", train=lines), Options(crops=tmp_path / "crops"))
    at = "images/images/train/HSIL_11_5.png"
    assert got.left_out[:2] == [
        (f"{at} box 1", "its center (200, 40) is outside the field"),
        (f"{at} box 2", "its box of 81 x 16 pixels is larger than the field"),
    ]
    assert "HSIL/HSIL_11_5_3.png" in set(got.manifest.rows["path"])


def test_a_folder_of_crops_that_holds_the_fields_is_refused(tmp_path: Path) -> None:
    root = kaggle(tmp_path / "riva")
    for folder in (tmp_path, root):
        with pytest.raises(InputError, match="contains the fields themselves"):
            load("riva_challenge", root, Options(crops=folder))
    with pytest.raises(InputError, match=r"images.*\.png, which no import wrote; name a folder only for the crops"):
        load("riva_challenge", root, Options(crops=root / "images"))
    again = [load("riva_challenge", root, Options(crops=root / "crops")) for _ in range(2)]
    assert again[0].manifest.rows.equals(again[1].manifest.rows)
    assert again[0].left_out == again[1].left_out


@pytest.mark.parametrize("name", ["riva", "riva_challenge"])
def test_crops_need_a_folder(name: str, tmp_path: Path) -> None:
    root = (zenodo if name == "riva" else kaggle)(tmp_path / "copy")
    with pytest.raises(InputError, match="name a folder for them with --crops"):
        load(name, root, Options(annotator="annotator_1" if name == "riva" else ""))


def test_the_command_takes_the_expert_and_writes_a_manifest_of_the_crops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out, crops = zenodo(tmp_path / "riva"), tmp_path / "m.csv", tmp_path / "crops"
    arguments = ["import", "riva", str(root), "-o", str(out), "--crops", str(crops), "--annotator", "annotator_2"]
    assert command.main(arguments) == 0
    assert set(manifest.read(out, crops).rows["label"]) == {"ASC-H", "ASC-US"}
    assert "labels are those of one expert" in capsys.readouterr().out
