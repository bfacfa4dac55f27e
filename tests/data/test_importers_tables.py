"""The tables and folders of data sets as people really have them: spreadsheets, banners, doubles, flat copies."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from cervix_tf.data import importers, manifest, tables
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


def sheet(path: Path, *rows: Sequence[object]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return book


def test_a_cell_of_a_spreadsheet_reads_as_people_see_it(tmp_path: Path) -> None:
    import datetime

    when = datetime.datetime(2020, 5, 17)
    sheet(tmp_path / "t.xlsx", ["path", "age", "done", "day", "none"], ["a.jpg", 34.0, True, when, None], ["b", 34.5])
    table = tables.read(tmp_path / "t.xlsx", ["path", "age", "done", "day", "none"])
    assert list(zip(*table.cells, strict=True)) == [
        ("a.jpg", "34", "TRUE", "2020-05-17", ""),
        ("b", "34.5", "", "", ""),
    ]


def test_a_formula_without_its_value_is_refused_with_its_place(tmp_path: Path) -> None:
    sheet(tmp_path / "t.xlsx", ["path", "label"], ["a.jpg", "=A1"])
    with pytest.raises(InputError, match=r"t\.xlsx: sheet 'Sheet': B2 is a formula without a value"):
        tables.read(tmp_path / "t.xlsx", ["path"])


def test_two_sheets_with_the_table_are_refused_and_hidden_ones_do_not_count(tmp_path: Path) -> None:
    book = sheet(tmp_path / "t.xlsx", ["path"], ["a.jpg"])
    other = book.create_sheet("Old")
    other.append(["path"])
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="the sheets 'Sheet' and 'Old' both have"):
        tables.read(tmp_path / "t.xlsx", ["path"])
    other.sheet_state = "hidden"
    book.save(tmp_path / "t.xlsx")
    assert tables.read(tmp_path / "t.xlsx", ["path"]).column("path") == ["a.jpg"]


def test_hostile_spreadsheets_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    def tampered(name: str, member: str, old: bytes, new: bytes) -> Path:
        sheet(tmp_path / "sound.xlsx", ["path"], ["a.jpg"])
        with zipfile.ZipFile(tmp_path / "sound.xlsx") as sound, zipfile.ZipFile(tmp_path / name, "w", 8) as bad:
            for each in sound.namelist():
                data = sound.read(each)
                assert each != member or old in data
                bad.writestr(each, data.replace(old, new, 1) if each == member else data)
        return tmp_path / name

    page = "xl/worksheets/sheet1.xml"
    merged = b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'
    for path, message in (
        (tampered("merged.xlsx", page, b"</sheetData>", merged), "merges 17,179,869,184 cells"),
        (tampered("entity.xlsx", page, b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "a">]><worksheet'), "defines entities"),
        (tampered("large.xlsx", page, b"</worksheet>", b"</worksheet>" + bytes(2**27)), "too large once unpacked"),
        (tampered("far.xlsx", page, b'r="A2"', b'r="XFD1048576"'), "reaches to row"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=rf"{path.name}: .*{message}"):
            tables.read(path, ["path"])
    (tmp_path / "old.xlsx").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    with pytest.raises(InputError, match="has a password or is an old"):
        tables.read(tmp_path / "old.xlsx", ["path"])
    (tmp_path / "t.ods").write_bytes(b"")
    with pytest.raises(InputError, match=r"save it as \.xlsx or as CSV"):
        tables.read(tmp_path / "t.ods", ["path"])


def mobileodt(root: Path, folder: str) -> Path:
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
    imported = load("mobileodt", mobileodt(tmp_path, folder))
    assert imported.manifest.rows["label"].value_counts().to_dict() == {"Type_1": 3, "Type_2": 2, "Type_3": 3}
    assert [(Path(what).name, why) for what, why in imported.left_out] == [("30.jpg", "listed in removed_files.csv")]
    assert "fixed_labels_v2.csv: 2 labels corrected, 1 rows name no file of this copy" in imported.notes
    assert "removed_files.csv: 1 rows name no file of this copy" in imported.notes


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
    root = mobileodt(tmp_path, "Type_{}")
    with (root / table).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=message):
        load("mobileodt", root)


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
        f"{tmp_path / 'm.csv'}: label 'CIN1' (1 rows: line 2) and 'cin 1' (1 rows: line 4) and 'cin1' (2 rows: line 3, "
        "line 7) and 'cin1\\u200b' (1 rows: line 5) and '\uff23IN1' (1 rows: line 8): differ only in case, blanks or "
        "characters that cannot be seen; write them in one way"
    )


def test_class_folders_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "Normal" / "a.jpg")
    picture(tmp_path / "normal" / "b.jpg")
    with pytest.raises(InputError, match=r"label 'Normal' \(1 rows: .*Normal/a\.jpg\) and 'normal' \(1 rows"):
        load("folder", tmp_path)
    assert len(load("folder", tmp_path, Options(labels={"Normal": "normal"})).manifest) == 2


def test_a_label_that_is_a_class_in_another_spelling_is_said_to_be_it() -> None:
    rows = [{"path": f"{at}.jpg", "label": label} for at, label in enumerate(["CIN1 ", "CIN1 ", "normal", "other"])]
    with pytest.raises(InputError) as caught:
        manifest.check_labels(manifest.from_records(rows, Path()), ["normal", "cin1"], "m.csv")
    first, second = str(caught.value).splitlines()
    assert first == ("m.csv: 0.jpg: label 'CIN1 ' is not among the classes normal, cin1 (2 such rows); write it 'cin1'")
    assert "label 'other'" in second and "fix the label" in second


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


@pytest.mark.parametrize("name", [name for name in importers.NAMES if name != "folder"])
def test_a_refusal_names_the_way_for_flat_copies_where_the_layout_has_class_folders(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "Parabasal_flat" / "001_01.bmp")
    with pytest.raises(InputError) as caught:
        load(name, tmp_path)
    named = re.search(r"import folder ROOT.*--group-pattern '\(\\d\+\)_\\d\+'", str(caught.value))
    assert bool(named) == (name in CLASS_FOLDERS)
