"""MobileODT: folders of types and stages, and the three tables that correct them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data.importers import Options, load
from cervix_tf.errors import InputError
from tests.data.imported import picture, rows


def mobileodt(root: Path) -> Path:
    for at, name in enumerate(
        (
            "train/train/Type_1/0.jpg",
            "train/train/Type_2/1.jpg",
            "additional_Type_1_v2/Type_1/0.jpg",
            "additional/Type_3/9.jpg",
            "test/test/0.jpg",
            "test_stg2/test_stg2/0.jpg",
            "unlabelled/77.jpg",
        )
    ):
        picture(root / name, gray=20 * at)
    return root


def test_mobileodt_knows_a_file_by_its_path_and_takes_splits_from_folders(tmp_path: Path) -> None:
    got = rows("mobileodt", mobileodt(tmp_path))
    assert {path: (row["label"], row["split"]) for path, row in got.items()} == {
        "train/train/Type_1/0.jpg": ("Type_1", "train"),
        "train/train/Type_2/1.jpg": ("Type_2", "train"),
        "additional_Type_1_v2/Type_1/0.jpg": ("Type_1", "additional"),
        "additional/Type_3/9.jpg": ("Type_3", "additional"),
        "test/test/0.jpg": ("", "test"),
        "test_stg2/test_stg2/0.jpg": ("", "test"),
        "unlabelled/77.jpg": ("", ""),
    }


def test_mobileodt_without_corrections_gives_files_and_labels_as_they_lie(tmp_path: Path) -> None:
    root = mobileodt(tmp_path)
    (root / "removed_files.csv").write_text("filename\n9.jpg\n")
    (root / "fixed_labels_v2.csv").write_text("filename,old_label,new_label\n1.jpg,Type_2,Type_3\n")
    as_they_lie, mended = rows("mobileodt", root, Options(corrections=False)), rows("mobileodt", root)
    assert set(as_they_lie) - set(mended) == {"additional/Type_3/9.jpg"}
    labels = [each["train/train/Type_2/1.jpg"]["label"] for each in (as_they_lie, mended)]
    assert labels == ["Type_2", "Type_3"]


def test_mobileodt_test_images_sorted_by_type_stay_test_images(tmp_path: Path) -> None:
    root = mobileodt(tmp_path)
    picture(root / "test/Type_1/1.jpg", gray=200)
    (root / "removed_files.csv").write_text("filename\n1.jpg\n")
    got = rows("mobileodt", root)
    assert (got["test/Type_1/1.jpg"]["label"], got["test/Type_1/1.jpg"]["split"]) == ("Type_1", "test")
    assert "train/train/Type_2/1.jpg" not in got, "what the table of training files means"


def test_mobileodt_groups_identical_files_even_without_the_hash_option(tmp_path: Path) -> None:
    root = mobileodt(tmp_path)
    (root / "unlabelled" / "78.jpg").write_bytes((root / "train/train/Type_2/1.jpg").read_bytes())
    got = rows("mobileodt", root, Options(hash=False))
    assert got["unlabelled/78.jpg"]["group"] == got["train/train/Type_2/1.jpg"]["group"]
    assert len({row["group"] for row in got.values()}) == 7


def test_mobileodt_applies_its_three_tables_and_leaves_ambiguous_names_alone(tmp_path: Path) -> None:
    root = mobileodt(tmp_path)
    (root / "fixed_labels_v2.csv").write_text(
        "filename,old_label,new_label\n1.jpg,Type_2,Type_3\n0.jpg,Type_1,Type_2\n"
    )
    (root / "removed_files.csv").write_text("filename\n9.jpg\n")
    (root / "solution_stg1_release.csv").write_text("image_name,Type_1,Type_2,Type_3\n0.jpg,0,1,0\n")
    imported = load("mobileodt", root)
    got = {row["path"]: row["label"] for row in imported.manifest.rows.to_dict("records")}
    assert got["train/train/Type_2/1.jpg"] == "Type_3"
    assert got["train/train/Type_1/0.jpg"] == got["additional_Type_1_v2/Type_1/0.jpg"] == "Type_1"
    assert got["test/test/0.jpg"] == "Type_2"
    assert got["test_stg2/test_stg2/0.jpg"] == ""
    assert imported.left_out == [("additional/Type_3/9.jpg", "listed in removed_files.csv")]
    assert any("line 3: 0.jpg fits" in note for note in imported.notes)
    (root / "fixed_labels_v2.csv").write_text("filename,old_label,new_label\n1.jpg,Type_2,Type_4\n")
    with pytest.raises(InputError, match="line 2: new_label 'Type_4'"):
        load("mobileodt", root)


def corrected(root: Path, folder: str) -> Path:
    for kind in (1, 2, 3):
        for at in range(3):
            picture(root / "train" / "train" / folder.format(kind) / f"{kind}{at}.jpg", gray=10 * kind + at)
    (root / "fixed_labels_v2.csv").write_text(
        "filename,old_label,new_label\n10.jpg,Type_1,Type_3\n20.JPG,type_2,Type_1\n99.jpg,Type_1,Type_2\n"
    )
    (root / "removed_files.csv").write_text("filename,old_label\n30.jpg,Type_3\n98.jpg,Type_1\n")
    return root


@pytest.mark.parametrize("folder", ["Type_{}", "type_{}", "TYPE_{}"])
def test_the_corrections_reach_class_folders_in_any_case(folder: str, tmp_path: Path) -> None:
    imported = load("mobileodt", corrected(tmp_path, folder))
    assert imported.manifest.rows["label"].value_counts().to_dict() == {"Type_1": 3, "Type_2": 2, "Type_3": 3}
    assert [(Path(what).name, why) for what, why in imported.left_out] == [("30.jpg", "listed in removed_files.csv")]
    assert "fixed_labels_v2.csv: 2 labels corrected, without a file in this copy: 1 row" in imported.notes
    assert "removed_files.csv: without a file in this copy: 1 row" in imported.notes


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("fixed_labels_v2.csv", "10.jpg,Type_1,Type_2", "line 5: new_label 'Type_2': .*10.jpg has 'Type_3' on line 2"),
        (
            "solution_stg1_release.csv",
            "image_name,Type_1,Type_2,Type_3\n0.jpg,0,1,0\n0.JPG,1,0,0",
            "is Type_1 here and",
        ),
    ],
)
def test_two_answers_for_one_file_are_refused(table: str, line: str, message: str, tmp_path: Path) -> None:
    root = corrected(tmp_path, "Type_{}")
    with (root / table).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=message):
        load("mobileodt", root)
