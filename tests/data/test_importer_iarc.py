"""IARC's image banks: cases and images in two tables, results, views."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data.importers import load
from cervix_tf.data.importers.iarc_colposcopy import label_of, views_of
from cervix_tf.errors import InputError
from tests.data.imported import picture


def iarc(root: Path) -> Path:
    for name in ("AAA0", "AAA1", "AAA2", "AAA3", "AAA9"):
        picture(root / "Case 004" / f"{name}.JPG")
    picture(root / "Case 005" / "BBB1.jpg")
    (root / "Cases Meta data.csv").write_text(
        "Case Number;Provisional diagnosis;Histopathology\n4;normal;Not done\n5;normal;HSIL-CIN3\n6;normal;Not done\n"
    )
    (root / "Cases - Images.csv").write_text(
        "Case Number;File;Sort;Type\n"
        "4;AAA2.jpg;3;After acetic acid with green filter\n4;AAA1.jpg;2;After acetic acid\n"
        "4;AAA0.jpg;1;After normal saline\n4;AAA3.jpg;4;After Lugol’s iodine\n"
        "5;BBB1.jpg;1;After acetic acid\n5;BBB2.jpg;2;After Lugol’s iodine\n",
        encoding="utf-8-sig",
    )
    return root


def test_iarc_colposcopy_joins_two_tables_and_says_what_does_not_meet(tmp_path: Path) -> None:
    root = iarc(tmp_path)
    imported = load("iarc_colposcopy", root)
    got = {row["path"]: row for row in imported.manifest.rows.to_dict("records")}
    assert {path: row["view"] for path, row in got.items()} == {
        "Case 004/AAA0.JPG": "saline",
        "Case 004/AAA1.JPG": "acetic_1",
        "Case 004/AAA2.JPG": "green",
        "Case 004/AAA3.JPG": "iodine",
        "Case 004/AAA9.JPG": "other_1",
        "Case 005/BBB1.jpg": "acetic_1",
    }
    assert got["Case 005/BBB1.jpg"]["label"] == "cin2_3"
    assert got["Case 004/AAA1.JPG"]["label"] == "normal"
    assert got["Case 004/AAA1.JPG"]["group"] == got["Case 004/AAA1.JPG"]["case"] == "Case 004"
    assert dict(imported.left_out) == {
        "Case 005/BBB2.jpg": "Cases - Images.csv line 7 lists it, no such file",
        "Case 006": "no image of it in this copy",
    }
    assert any(note.startswith("Case 004/AAA9.JPG: not in Cases - Images.csv") for note in imported.notes)


def test_old_spreadsheets_are_refused_with_how_to_save_them(tmp_path: Path) -> None:
    root = iarc(tmp_path)
    (root / "Cases Meta data.csv").rename(root / "Cases Meta data.xls")
    with pytest.raises(InputError, match=r"Cases Meta data\.xls: .*save it as \.xlsx or as CSV"):
        load("iarc_colposcopy", root)


@pytest.mark.parametrize(
    ("histology", "diagnosis", "label"),
    [
        ("Invasive squamous cell carcinoma", "HSIL", "cancer"),
        ("Adenocarcinoma in situ", "normal", "cin2_3"),
        ("HSIL-CIN2", "normal", "cin2_3"),
        ("LSIL-CIN1", "HSIL", "cin1"),
        ("LSIL-HPV changes", "normal", "cin1"),
        ("Normal", "Type 1 transformation zone; low-grade squamous intraepithelial lesion (LSIL)", "normal"),
        ("HSIL-VAIN 3", "normal", ""),
        ("HSIL-VIN 3; cervix: LSIL-CIN1", "normal", "cin1"),
        ("Tuberculosis of cervix", "normal", ""),
        ("Mucous polyp", "Type 1 transformation zone; normal with endocervical polyp", "normal"),
        ("Not done", "Type 3 transformation zone; suspicion of early invasion", "cancer"),
        ("Not done", "Type 3 transformation zone; condyloma", "cin1"),
        ("Not done", "Inadequate colposcopy", ""),
        ("Not done", "Abnormal", ""),
        ("Not done", "Type 3 transformation zone; leukoplakia", ""),
    ],
)
def test_iarc_colposcopy_labels_follow_the_ordered_rules(histology: str, diagnosis: str, label: str) -> None:
    assert label_of(histology, diagnosis)[0] == label


def test_iarc_colposcopy_views_put_magnified_images_last_and_number_repeats() -> None:
    assert views_of(
        [
            "Speculum examination",
            "After normal saline with green filter",
            "After acetic acid with higher magnification",
            "After acetic acid",
            "After acetic acid with green filter",
            "After acetic acid with green filter",
            "After acetic acid",
            "After Lugol’s iodine",
            "After Lugol's iodine",
            "",
        ]
    ) == [
        "other_1",
        "green_saline",
        "acetic_3",
        "acetic_1",
        "green",
        "green_2",
        "acetic_2",
        "iodine",
        "iodine_2",
        "other_2",
    ]
    assert views_of(["After normal saline with green filter", *["After acetic acid"] * 6]) == [
        "green",
        *(f"acetic_{number}" for number in range(1, 7)),
    ]


def test_iarc_via_reads_result_and_views(tmp_path: Path) -> None:
    for name in ("A0.jpg", "A1.jpg", "A2.jpg"):
        picture(tmp_path / "Case 001" / name)
    picture(tmp_path / "Case 002" / "B0.jpg")
    (tmp_path / "cases.csv").write_text("CaseNumber,VIA\n1,Suspicious of cancer\n2,\n")
    (tmp_path / "images.csv").write_text(
        "CaseNumber,File,Type\n"
        "1,A0.jpg,Before application of acetic acid\n1,A1.jpg,After application of acetic acid\n"
        "1,A2.jpg,After application of Lugol’s iodine\n2,B0.jpg,Before application of acetic acid\n",
        encoding="utf-8",
    )
    imported = load("iarc_via", tmp_path)
    table = imported.manifest.rows
    assert list(table["view"]) == ["before_1", "acetic_1", "iodine", "before_1"]
    assert list(table["label"]) == ["suspicious"] * 3 + [""]
    assert "Case 002: unlabeled, VIA is ''" in imported.notes
