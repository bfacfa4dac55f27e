"""CRIC: fields and a table of nuclei become crops."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data.importers import Options, load
from cervix_tf.errors import InputError
from tests.data.imported import picture, rows


def cric(root: Path, width: int, height: int, as_json: bool = False) -> Path:
    field = np.full((height, width, 3), 220, np.uint8)
    for x, y in ((20, 30), (1000, 700)):
        cv2.circle(field, (round(x * width / 1376), round(y * height / 1020)), 4, (20, 20, 20), -1)
    (root / "images").mkdir(parents=True)
    assert cv2.imwrite(str(root / "images" / "aa.png"), field)
    entries = [(11, "Negative for intraepithelial lesion", 20, 30), (12, "HSIL", 1000, 700)]
    if as_json:
        nested = [{"cell_id": c, "bethesda_system": b, "nucleus_x": x, "nucleus_y": y} for c, b, x, y in entries]
        content = [{"image_id": 5, "image_name": "aa.png", "image_doi": "d", "classifications": nested}]
        (root / "classifications.json").write_text(json.dumps(content))
    else:
        lines = [f"5,aa.png,d,{c},{b},{x},{y}" for c, b, x, y in entries]
        header = "image_id,image_filename,image_doi,cell_id,bethesda_system,nucleus_x,nucleus_y"
        (root / "classifications.csv").write_text("\n".join([header, *lines]) + "\n")
    return root


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"fields": []}, "contains no list of fields"),
        ([{"image_id": 5, "classifications": [{"cell_id": 1}]}], "lacks 'bethesda_system'"),
        ([5], "is not a table of fields and cells"),
    ],
)
def test_a_cric_table_of_another_form_is_named(content: object, said: str, tmp_path: Path) -> None:
    root = cric(tmp_path / "cric", 1376, 1020, as_json=True)
    (root / "classifications.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"classifications\.json: .*{said}"):
        load("cric", root, Options(crops=tmp_path / "crops"))


@pytest.mark.parametrize(("column", "value"), [(0, "9" * 5000), (3, "9" * 5000), (5, "1" * 400), (6, "nan")])
def test_a_number_in_crics_table_that_no_image_has_is_named(column: int, value: str, tmp_path: Path) -> None:
    root = cric(tmp_path / "cric", 1376, 1020)
    lines = (root / "classifications.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[column] = value
    (root / "classifications.csv").write_text("\n".join([lines[0], ",".join(cells), lines[2]]) + "\n")
    with pytest.raises(InputError, match=r"classifications\.csv: line 2: .*is not a number"):
        load("cric", root, Options(crops=tmp_path / "crops"))


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("size", [(1376, 1020), (688, 510)])
def test_cric_crops_are_centred_on_nuclei_at_any_field_size_and_padded(
    size: tuple[int, int], as_json: bool, tmp_path: Path
) -> None:
    root = cric(tmp_path / "cric", *size, as_json=as_json)
    got = load("cric", root, Options(crops=tmp_path / "crops", crop_size=100))
    assert got.manifest.root == tmp_path / "crops"
    assert list(got.manifest.rows["path"]) == ["HSIL/5_12.png", "NILM/5_11.png"]
    assert set(got.manifest.rows["group"]) == {"field 5"}
    for path in got.manifest.paths():
        crop = cv2.imread(path)
        assert crop.shape == (100, 100, 3)
        dark_rows, dark_columns = np.nonzero(crop[25:75, 25:75, 0] < 100)
        assert abs(dark_rows.mean() - 25) < 1
        assert abs(dark_columns.mean() - 25) < 1


def test_cric_takes_a_field_of_the_cameras_ratio_for_the_whole_frame(tmp_path: Path) -> None:
    root = cric(tmp_path / "cric", 1376, 1020)
    frame = np.full((1040, 1388, 3), 220, np.uint8)
    cv2.circle(frame, (1000, 700), 4, (20, 20, 20), -1)
    small = cv2.resize(frame, (1280, 960), interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(root / "images" / "aa.png"), small)
    load("cric", root, Options(crops=tmp_path / "crops"))
    crop = cv2.imread(str(tmp_path / "crops" / "HSIL" / "5_12.png"))
    dark_rows, dark_columns = np.nonzero(crop[..., 0] < 100)
    assert abs(dark_rows.mean() - 50) < 1
    assert abs(dark_columns.mean() - 50) < 1


def test_cric_importing_twice_gives_the_same_manifest_even_with_the_crops_inside_the_root(
    tmp_path: Path,
) -> None:
    root = cric(tmp_path / "cric", 1376, 1020)
    first, second = (load("cric", root, Options(crops=root / "crops")) for _ in range(2))
    assert first.manifest.rows.equals(second.manifest.rows)
    assert second.left_out == []


def test_cric_names_wrong_rows_lost_fields_and_points_outside(tmp_path: Path) -> None:
    root = cric(tmp_path / "cric", 1376, 1020)
    table = root / "classifications.csv"
    with table.open("a") as file:
        file.write("6,gone.png,d,20,LSIL,5,5\n5,aa.png,d,21,LSIL,5000,5\n")
    got = load("cric", root, Options(crops=tmp_path / "crops"))
    assert dict(got.left_out) == {
        "gone.png": "field is not in this copy, and with it 1 cells",
        "images/aa.png cell 21": "its center (5000, 5) is outside the field",
    }
    with table.open("a") as file:
        file.write("5,aa.png,d,22,CIN9,5,5\n5,aa.png,d,23,LSIL,left,5\n5,aa.png,d,12,HSIL,5,5\n")
    with pytest.raises(InputError) as error:
        load("cric", root, Options(crops=tmp_path / "crops"))
    lines = str(error.value).splitlines()
    assert [f"line {n}" in line for n, line in zip((6, 7, 8), lines, strict=True)] == [True] * 3
    with pytest.raises(InputError, match="name a folder for them with --crops"):
        load("cric", cric(tmp_path / "again", 1376, 1020))


def test_cric_crops_are_grouped_by_field(tmp_path: Path) -> None:
    for name in ("NILM/182_1.jpg", "HSIL/182_2.png", "scc/7_3.png"):
        picture(tmp_path / name)
    got = rows("cric_crops", tmp_path)
    assert {(row["label"], row["group"]) for row in got.values()} == {
        ("NILM", "field 182"),
        ("HSIL", "field 182"),
        ("SCC", "field 7"),
    }


def test_crops_that_somebody_else_made_are_a_group_each_which_is_said(tmp_path: Path) -> None:
    for name in ("ASC-US/182_1.jpg", "ascus/cell (1).png", "ASC_H/augmented_0001.png", "Parabasal/1_1.png"):
        picture(tmp_path / name)
    got = load("cric_crops", tmp_path)
    assert {(row["label"], row["group"]) for _, row in got.manifest.rows.iterrows()} == {
        ("ASC-US", "field 182"),
        ("ASC-US", "ASC-US/cell (1)"),
        ("ASC-H", "ASC-H/augmented_0001"),
    }
    assert any(note.startswith("2 crops are not named <image_id>_<cell_id>") for note in got.notes)
    assert [what for what, _ in got.left_out] == ["Parabasal/1_1.png"]


def test_two_different_pictures_of_one_cric_field_are_refused(tmp_path: Path) -> None:
    header = "image_id,image_filename,image_doi,cell_id,bethesda_system,nucleus_x,nucleus_y\n"
    (tmp_path / "classifications.csv").write_text(f"{header}5,aa.png,d,11,HSIL,1,1\n")
    picture(tmp_path / "a" / "aa.png")
    picture(tmp_path / "b" / "AA.png")
    imported = load("cric", tmp_path, Options(crops=tmp_path.parent / f"{tmp_path.name}-crops"))
    assert imported.left_out == [("b/AA.png", "copy of a/aa.png")]
    picture(tmp_path / "b" / "AA.png", gray=7)
    with pytest.raises(InputError, match=r"a/aa\.png and .*b/AA\.png: two pictures with the same name"):
        load("cric", tmp_path, Options(crops=tmp_path.parent / f"{tmp_path.name}-crops"))
