"""The sheets of an .xlsx file as rows of text, as a reader sees them.

A merged cell shows its value in every cell that it covers. A cell with a formula shows the value that
the spreadsheet program computed last. A number has the leading zeros of its format (`007`), but no other part of one.

openpyxl's read-only mode would take less memory, but it does not know merged cells and believes what the
file says about its size; so files are checked before, and are small.
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf.data import plain_file
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

SUFFIXES = (".xlsx", ".xlsm")
UNREADABLE = (".xls", ".xlsb", ".ods", ".numbers")
"""Lower-case endings of other spreadsheets."""
_MOST_BYTES = 2**25
_MOST_CELLS = 1_000_000
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*["']\$?([A-Z]+)\$?(\d+):\$?([A-Z]+)\$?(\d+)["']""")
_AS_CSV = "save the table as CSV (UTF-8)"


def sheets(path: Path) -> list[tuple[str, list[tuple[int, list[str]]]]]:
    """(name, rows) of each visible sheet, a row as its number (from 1) and its cells.

    Raises `InputError` for what is no such file, holds more than `_MOST_CELLS` cells in a sheet, or has
    formulas without values or cells that show an error.
    """
    with plain_file.opened(path, _MOST_BYTES) as file:
        data = file.read(_MOST_BYTES)
    try:
        _check(data, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on print settings and the like, which are not read
            return _read(data, path)
    except InputError:
        raise
    except Exception as error:  # a damaged or hostile file can raise nearly anything
        said = str(error).strip().splitlines()
        raise InputError(
            f"{path}: cannot be read as .xlsx ({said[0] if said else type(error).__name__}); {_AS_CSV} and give that"
        ) from None


def _check(data: bytes, path: Path) -> None:
    """Refuse what would take openpyxl hours or all memory."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"{path}: has a password or is an old .xls file; {_AS_CSV} and give that")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > 2 * _MOST_BYTES or len(members) > 10_000:
            raise InputError(f"{path}: is too large once unpacked; {_AS_CSV} and give that")
        for member in members:
            if not member.filename.endswith((".xml", ".rels")):
                continue
            text = archive.read(member)
            if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                raise InputError(f"{path}: defines entities, which no spreadsheet program writes; {_AS_CSV}")
            merged = sum(
                (_column(right) - _column(left) + 1) * (int(bottom) - int(top) + 1)
                for left, top, right, bottom in _MERGED.findall(text)
            )
            if merged > _MOST_CELLS:
                raise InputError(f"{path}: merges {merged:,} cells; unmerge those that hold no part of the table")


def _read(data: bytes, path: Path) -> list[tuple[str, list[tuple[int, list[str]]]]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data))
    values = None
    found = []
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        if sheet.max_row * sheet.max_column > _MOST_CELLS:
            raise InputError(
                f"{path}: sheet {sheet.title!r} reaches to row {sheet.max_row}, column {sheet.max_column}; "
                f"delete what is outside the table, or {_AS_CSV}"
            )
        formulas = [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
        if formulas:
            values = values or openpyxl.load_workbook(io.BytesIO(data), data_only=True)
            empty = [at for at in formulas if values[sheet.title][at].value is None]
            if empty:
                raise InputError(
                    f"{path}: sheet {sheet.title!r}: {empty[0]} is a formula without a value ({len(empty)} such "
                    "cells); open the file in a spreadsheet program and save it again"
                )
        found.append((sheet.title, _rows(values[sheet.title] if values and formulas else sheet, path)))
    return found


def _rows(sheet: Worksheet, path: Path) -> list[tuple[int, list[str]]]:
    cells = list(sheet.iter_rows(min_row=1, min_col=1))
    if wrong := [cell for row in cells for cell in row if cell.data_type == "e"]:
        raise InputError(
            f"{path}: sheet {sheet.title!r}: {wrong[0].coordinate} shows the error {wrong[0].value} "
            f"({amount(len(wrong), 'such cell')}); correct or empty it"
        )
    rows = [[_text(cell.value, cell.number_format) for cell in row] for row in cells]
    for area in sheet.merged_cells.ranges:
        shown = rows[area.min_row - 1][area.min_col - 1]
        for row in rows[area.min_row - 1 : area.max_row]:
            row[area.min_col - 1 : area.max_col] = [shown] * (area.max_col - area.min_col + 1)
    return [(at, row) for at, row in enumerate(rows, start=1) if any(row)]


def _text(value: object, shown_as: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value).zfill(len(shown_as)) if set(shown_as) == {"0"} else str(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
