"""The tables of data sets as people really have them: spreadsheets, banners, repeated rows, odd spellings."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from cervix_tf.data import importers, manifest
from cervix_tf.data.importers import Options, load
from cervix_tf.errors import InputError
from tests.data.imported import picture

CASES = [
    ["Case Number", "CaseID", "Provisional diagnosis", "Histopathology"],
    [4, "AAEG", "normal", "Not done"],
    [5, "AAER", "normal", "HSIL-CIN3"],
    [7, "AAEX", "normal", "Not done"],
]
IMAGES = [
    ["Case Number", "File", "Sort", "Type"],
    [4, "AAA0.jpg", 1, "After normal saline"],
    [4, "AAA1.jpg", 2, "After acetic acid"],
    [4, "AAA2.jpg", 3, "After Lugol\u2019s iodine"],
    [5, "BBB0.jpg", 1, "After acetic acid"],
    [5, "BBB1.jpg", 2, "After acetic acid with green filter"],
]
VIA_CASES = [["CaseNumber", "VIA"], [4, "Positive"], [5, "Negative"]]
VIA_IMAGES = [
    ["CaseNumber", "File", "Type"],
    [4, "AAA0.jpg", "Before application of acetic acid"],
    [4, "AAA1.jpg", "After application of acetic acid"],
    [4, "AAA2.jpg", "After application of Lugol\u2019s iodine"],
    [5, "BBB0.jpg", "Before application of acetic acid"],
    [5, "BBB1.jpg", "After application of acetic acid"],
]
CLASS_FOLDERS = ("cervigram_visits", "cric_crops", "herlev", "mendeley_lbc", "mobileodt", "pbc", "sipakmed")
BANKS = {"iarc_colposcopy": (CASES, IMAGES), "iarc_via": (VIA_CASES, VIA_IMAGES)}
Rows = Sequence[Sequence[object]]


def as_csv(rows: Rows, path: Path, above: str = "") -> None:
    path.write_text(above + "".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def as_xlsx(rows: Rows, path: Path) -> None:
    """As downloaded: a merged banner above the header, equal cells of a column merged, empty rows below."""
    book = openpyxl.Workbook()
    sheet = book.active
    width = len(rows[0])
    sheet["A1"] = "International Agency for Research on Cancer: image bank"
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=width)
    for at, row in enumerate(rows, start=3):
        for column, value in enumerate(row, start=1):
            sheet.cell(at, column, value)
    first = 4
    for at in range(5, len(rows) + 4):  # one past the last row, to close the last run
        if at == len(rows) + 3 or rows[at - 3][0] != rows[first - 3][0]:
            if at - first > 1:
                sheet.merge_cells(start_row=first, start_column=1, end_row=at - 1, end_column=1)
            first = at
    for at in range(len(rows) + 3, len(rows) + 60):
        sheet.cell(at, 1).number_format = "0.00"  # empty, but there
    book.create_sheet("Notes")["A1"] = "Read with care"
    book.save(path)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    for at, name in enumerate(("004/AAA0", "004/AAA1", "004/AAA2", "005/BBB0", "005/BBB1")):
        picture(tmp_path / f"Case {name}.jpg", gray=20 * at)
    return tmp_path


@pytest.mark.parametrize("name", BANKS)
def test_a_bank_imports_from_its_spreadsheets_as_from_csv(name: str, bank: Path) -> None:
    meta, images = BANKS[name]
    results = []
    writers: list[Callable[[Rows, str], None]] = [
        lambda rows, stem: as_csv(rows, bank / f"{stem}.csv"),
        lambda rows, stem: as_csv(rows, bank / f"{stem}.csv", above="Image bank of cases,,\n\n"),
        lambda rows, stem: as_xlsx(rows, bank / f"{stem}.xlsx"),
    ]
    for write in writers:
        write(meta, "Cases Meta data")
        write(images, "Cases - Images")
        results.append(load(name, bank))
        for path in bank.glob("Cases*"):
            path.unlink()
    assert len(results[0].manifest) == 5
    for other in results[1:]:
        pd.testing.assert_frame_equal(other.manifest.rows, results[0].manifest.rows)
        assert other.left_out == results[0].left_out
        assert [note for note in other.notes if ".csv" not in note and ".xlsx" not in note] == [
            note for note in results[0].notes if ".csv" not in note
        ]


def test_a_message_about_a_spreadsheet_names_its_row(bank: Path) -> None:
    as_xlsx([*CASES, ["six", "x", "normal", "normal"]], bank / "cases.xlsx")
    as_csv(IMAGES, bank / "images.csv")
    with pytest.raises(InputError, match=r"cases\.xlsx: row 7: Case Number 'six' is not a number"):
        load("iarc_colposcopy", bank)


@pytest.mark.parametrize(
    ("cases", "images", "message"),
    [
        (
            [*CASES, [4, "x", "normal", "CIN3"]],
            IMAGES,
            r"cases\.csv: lines 2 and 5: Case Number 4 occurs 2 times",
        ),
        (
            CASES,
            [*IMAGES, [5, "bbb0.JPG", 9, "x"]],
            r"images\.csv: lines 5 and 7: File 'BBB0\.jpg' of case 5 occurs 2",
        ),
        (CASES, [*IMAGES, [5, "C.jpg", 1, "after acetic  acid"]], r"images\.csv: lines 5 and 7: Sort 1 of case 5 for"),
    ],
    ids=["case", "file", "place"],
)
def test_what_stands_twice_in_a_banks_table_is_refused_with_both_lines(
    cases: Rows, images: Rows, message: str, bank: Path
) -> None:
    as_csv(cases, bank / "cases.csv")
    as_csv(images, bank / "images.csv")
    with pytest.raises(InputError, match=message):
        load("iarc_colposcopy", bank)


def test_rows_without_a_file_are_no_doubles(bank: Path) -> None:
    as_csv(CASES, bank / "cases.csv")
    as_csv([*IMAGES, [7, "", "", ""], [7, "", "", ""]], bank / "images.csv")
    imported = load("iarc_colposcopy", bank)
    assert len(imported.manifest) == 5
    assert imported.left_out[:2] == [
        ("Case 007/", "images.csv line 7 lists it, no such file"),
        ("Case 007/", "images.csv line 8 lists it, no such file"),
    ]


def test_two_folders_of_one_case_number_are_refused_each_pair_once(bank: Path) -> None:
    as_csv(CASES, bank / "cases.csv")
    as_csv(IMAGES, bank / "images.csv")
    shutil.copytree(bank / "Case 004", bank / "backup" / "Case 004")
    shutil.copytree(bank / "Case 005", bank / "case_5")
    with pytest.raises(InputError) as caught:
        load("iarc_colposcopy", bank)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "Case 004 and " in lines[0] and "backup/Case 004: two folders of Case 004" in lines[0]
    assert "case_5: two folders of Case 005" in lines[1]


def test_two_files_of_a_case_that_differ_only_in_case_are_refused(bank: Path) -> None:
    as_csv(CASES, bank / "cases.csv")
    as_csv(IMAGES, bank / "images.csv")
    picture(bank / "Case 004" / "aaa0.JPG")
    with pytest.raises(InputError, match=r"AAA0\.jpg and .*aaa0\.JPG: one name but for case"):
        load("iarc_colposcopy", bank)


def test_two_tables_of_one_kind_are_refused_unless_they_are_equal(bank: Path) -> None:
    as_csv(CASES, bank / "cases.csv")
    as_csv(IMAGES, bank / "images.csv")
    (bank / "old").mkdir()
    shutil.copy(bank / "cases.csv", bank / "old")
    (bank / "~$cases.xlsx").write_bytes(b"lock of an open spreadsheet")
    assert len(load("iarc_colposcopy", bank).manifest) == 5
    as_csv(CASES[:-1], bank / "old" / "cases.csv")
    with pytest.raises(InputError, match=r"cases\.csv and .*old/cases\.csv: tables of the same kind that differ"):
        load("iarc_colposcopy", bank)


def test_a_banks_tables_may_have_other_names_or_lie_in_one_file(bank: Path) -> None:
    as_xlsx(CASES, bank / "Dataset of 3 cases.xlsx")
    as_csv(IMAGES, bank / "list.csv")
    first = load("iarc_colposcopy", bank).manifest.rows
    (bank / "list.csv").unlink()
    book = openpyxl.load_workbook(bank / "Dataset of 3 cases.xlsx")
    images = book.create_sheet("Images")
    for row in IMAGES:
        images.append(row)
    book.save(bank / "Dataset of 3 cases.xlsx")
    pd.testing.assert_frame_equal(load("iarc_colposcopy", bank).manifest.rows, first)
    shutil.copy(bank / "Dataset of 3 cases.xlsx", bank / "another.xlsx")
    with pytest.raises(InputError, match=r"cases\.xlsx and .*another\.xlsx: all have the columns Case Number, Histop"):
        load("iarc_colposcopy", bank)


def images_and_table(root: Path, content: str) -> Path:
    for at in range(4):
        picture(root / "img" / f"p{at}.jpg", gray=10 * at)
    (root / "t.csv").write_text(content)
    return root


def test_a_path_may_begin_with_a_dot_or_have_two_slashes(tmp_path: Path) -> None:
    root = images_and_table(tmp_path, "path,label\n./img/p0.jpg,x\nimg//p1.jpg,y\n.\\img\\p2.jpg,y\nimg/./p3.jpg,x\n")
    assert load("csv", root).manifest.rows["path"].tolist() == [f"img/p{at}.jpg" for at in range(4)]


def test_one_file_on_two_lines_is_refused_however_its_path_is_written(tmp_path: Path) -> None:
    root = images_and_table(tmp_path, "path,label\nimg/p0.jpg,x\n./img/p0.jpg,y\nimg/../img/p1.jpg,y\n")
    with pytest.raises(InputError) as caught:
        load("csv", root)
    assert [line.removeprefix(f"{root / 't.csv'}: ") for line in str(caught.value).splitlines()] == [
        "line 3: path './img/p0.jpg': stands on line 2 already; keep one",
        "line 4: path 'img/../img/p1.jpg': leaves the data root with ..; choose the root above all images",
    ]


def test_an_age_may_have_a_decimal_comma(tmp_path: Path) -> None:
    root = images_and_table(tmp_path, "sep=;\npath;age\nimg/p0.jpg;34,5\nimg/p1.jpg;34.5\nimg/p2.jpg;\n")
    assert load("csv", root).manifest.rows["age"].tolist()[:2] == [34.5, 34.5]
    (root / "t.csv").write_text('path,age\nimg/p0.jpg,"34,5"\nimg/p1.jpg,34,5\n')
    with pytest.raises(InputError, match=r"t\.csv: line 3: 3 cells under 2 columns"):
        load("csv", root)


def test_what_only_the_manifest_refuses_is_said_with_the_tables_own_line(tmp_path: Path) -> None:
    root = images_and_table(tmp_path, f"by hand\npath,label\nimg/p0.jpg,x\n\nimg/p1.jpg,{'y' * 300}\n")
    with pytest.raises(InputError, match=r"t\.csv: line 5: label 'yyy.*over 200 characters"):
        load("csv", root)


def test_a_file_name_that_differs_only_in_its_form_is_told(tmp_path: Path) -> None:
    root = images_and_table(tmp_path, "path\nimg/P0.JPG\nimg/gone.jpg\n")
    with pytest.raises(
        InputError, match=r"line 2: .*but 'p0\.jpg', which differs in case.*\n.*line 3: .*check the name"
    ):
        load("csv", root)


def test_labels_that_look_alike_are_one_mistake_reported_once_with_its_rows(tmp_path: Path) -> None:
    labels = ["CIN1", "cin1", "cin 1", "cin1\u200b", "normal", "cin1", "\uff23IN1"]
    lines = "".join(f"{at}.jpg,{label}\n" for at, label in enumerate(labels))
    (tmp_path / "m.csv").write_text(f"path,label\n{lines}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        manifest.read(tmp_path / "m.csv")
    (line,) = str(caught.value).splitlines()
    assert line == (
        f"{tmp_path / 'm.csv'}: label 'CIN1' (1 row: line 2) and 'cin 1' (1 row: line 4) and 'cin1' (2 rows: line 3, "
        "line 7) and 'cin1\\u200b' (1 row: line 5) and '\uff23IN1' (1 row: line 8): differ only in case, blanks or "
        "characters that cannot be seen; write them in one way"
    )


def test_class_folders_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "Normal" / "a.jpg")
    picture(tmp_path / "normal" / "b.jpg")
    with pytest.raises(InputError, match=r"label 'Normal' \(1 row: .*Normal/a\.jpg\) and 'normal' \(1 row"):
        load("folder", tmp_path)
    assert len(load("folder", tmp_path, Options(labels={"Normal": "normal"})).manifest) == 2


def test_a_label_that_is_a_class_in_another_spelling_is_said_to_be_it() -> None:
    rows = [{"path": f"{at}.jpg", "label": label} for at, label in enumerate(["CIN1 ", "CIN1 ", "normal", "other"])]
    with pytest.raises(InputError) as caught:
        manifest.check_labels(manifest.from_records(rows, Path()), ["normal", "cin1"], "m.csv")
    first, second = str(caught.value).splitlines()
    assert first == ("m.csv: 0.jpg: label 'CIN1 ' is not among the classes normal, cin1 (2 such rows); write it 'cin1'")
    assert "label 'other'" in second and "fix the label" in second


@pytest.mark.parametrize("name", [name for name in importers.NAMES if name != "folder"])
def test_a_refusal_names_the_way_for_flat_copies_where_the_layout_has_class_folders(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "Parabasal_flat" / "001_01.bmp")
    with pytest.raises(InputError) as caught:
        load(name, tmp_path)
    named = re.search(r"import folder ROOT.*--group-pattern '\(\\d\+\)_\\d\+'", str(caught.value))
    assert bool(named) == (name in CLASS_FOLDERS)
