"""Cells of a spreadsheet as people see them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from cervix_tf.data import tables
from cervix_tf.errors import InputError


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


def test_a_number_keeps_the_zeros_that_its_format_shows(tmp_path: Path) -> None:
    book = sheet(
        tmp_path / "t.xlsx", ["path", "woman"], ["a.jpg", 7], ["b.jpg", "008"], ["c.jpg", 1234], ["d.jpg", 9.0]
    )
    for row in range(2, 6):
        book.active.cell(row, 2).number_format = "000"
    book.save(tmp_path / "t.xlsx")
    assert tables.read(tmp_path / "t.xlsx", ["woman"]).column("woman") == ["007", "008", "1234", "009"]


def test_a_cell_that_shows_an_error_is_refused_with_its_place(tmp_path: Path) -> None:
    sheet(tmp_path / "t.xlsx", ["path", "label"], ["a.jpg", "#N/A"])
    with pytest.raises(InputError, match=r"t\.xlsx: sheet 'Sheet': B2 shows the error #N/A \(1 such cell\); correct"):
        tables.read(tmp_path / "t.xlsx", ["path"])


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
