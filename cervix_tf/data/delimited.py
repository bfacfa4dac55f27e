"""Delimited text as rows that know their lines: bounded, and refused where a quote could mean two things."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from cervix_tf.data import plain_file
from cervix_tf.errors import InputError

HEADER_WITHIN = 20
"""Rows among which the header is looked for."""
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""What may stand between cells, and what it is called."""
_MOST_BYTES = 2**31
_LONGEST_LINE = 2**20
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_AS_UTF8 = "save the table as CSV in UTF-8"


class Lines(Iterator[str]):
    """The lines of a text file with their ends, none of them endless; closes the file as a context manager.

    UTF-8, or UTF-16 where the file begins with its mark. Raises `InputError` with the line for bytes that are
    neither, for NUL bytes and for lines of over a million characters.
    """

    def __init__(self, path: Path, missing: str) -> None:
        self.path, self.line, self.apostrophes = path, 0, False
        """`line`: how many were read; `apostrophes`: whether one of them held any."""
        with ExitStack() as stack:
            file = stack.enter_context(
                plain_file.opened(path, _MOST_BYTES, missing=missing, folder="give the CSV file inside it")
            )
            start = file.read(4)
            file.seek(0)
            if start == b"PK\x03\x04":
                raise InputError(f"{path}: is a spreadsheet or an archive, not CSV; name it .xlsx if it is one")
            self._encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
            self._text = io.TextIOWrapper(file, encoding=self._encoding, newline="")
            self._left = _MOST_BYTES
            self._files = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def __next__(self) -> str:
        try:
            line = self._text.readline(_LONGEST_LINE)
        except UnicodeDecodeError as error:
            raise self._undecodable(error) from None
        if not line:
            raise StopIteration
        self.line += 1
        self._left -= len(line)
        if "\0" in line:
            raise InputError(f"{self.path}: line {self.line}: contains NUL bytes, so it is not CSV text; {_AS_UTF8}")
        if len(line) == _LONGEST_LINE and line[-1] not in "\r\n":
            raise InputError(f"{self.path}: line {self.line}: has over {_LONGEST_LINE:,} characters; is it a table?")
        if self._left < 0:
            raise InputError(f"{self.path}: grows while it is read; wait until it is complete")
        if "'" in line:
            self.apostrophes = True
        return line

    def _undecodable(self, error: UnicodeDecodeError) -> InputError:
        if self._encoding == "utf-16":
            return InputError(f"{self.path}: line {self.line + 1} or later is not UTF-16 ({error.reason}); {_AS_UTF8}")
        # The decoder reads ahead of the lines, so the place is looked for again.
        self._text.seek(0)
        for at, raw in enumerate(iter(lambda: self._text.buffer.readline(4 * _LONGEST_LINE), b""), start=1):
            try:
                raw.decode()
            except UnicodeDecodeError as here:
                byte = raw[here.start]
                return InputError(f"{self.path}: line {at}: byte 0x{byte:02x} is not UTF-8; {_AS_UTF8}")
        return InputError(f"{self.path}: is not UTF-8; {_AS_UTF8}")


def header(head: Sequence[str], is_header: Callable[[Sequence[str]], bool]) -> tuple[str, int] | None:
    """The delimiter, and how many rows come before the header; None where no row of `head` is one.

    A first line `sep=;`, as Excel writes it, says the delimiter.
    """
    told = _SEPARATOR_LINE.fullmatch(head[0].strip("\r\n")) if head else None
    best: tuple[int, str, int] | None = None
    for delimiter in (told[1],) if told and told[1] in DELIMITERS else DELIMITERS:
        for at, cells in enumerate(first_rows(head, delimiter)):
            if is_header(cells):
                if best is None or len(cells) > best[0]:
                    best = (len(cells), delimiter, at)
                break
    return best[1:] if best else None


def first_rows(head: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The rows among which the header is looked for; ends without complaint where a row is not whole."""
    try:
        for at, cells in enumerate(csv.reader(head, delimiter=delimiter, strict=True)):
            if at == HEADER_WITHIN:
                return
            yield cells
    except csv.Error:
        return


def rows(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line in which it begins, cells) of every row, blank ones included.

    Raises `InputError` for a quote that is not closed, or that is closed only after lines that look like rows.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if reader.line_num > start:
                _check_breaks(cells, delimiter, f"{path}: line {start}", reader.line_num)
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        if "end of data" in str(error):
            said = "a quote is opened and never closed"
        elif "field limit" in str(error):
            said = "a cell of over 100,000 characters; is a quote not closed?"
        else:
            said = f"a quote stands where none can stand ({error}, by line {reader.line_num})"
        raise InputError(f"{path}: line {start}: {said}; close it, or double the quotes within a cell") from None


def _check_breaks(cells: Sequence[str], delimiter: str, where: str, end: int) -> None:
    """Refuse a row in which a quoted cell holds lines that could as well be rows."""
    for cell in cells:
        later = re.split(r"\r\n|\r|\n", cell)[1:]
        if any(piece.count(delimiter) >= max(len(cells) - 1, 1) for piece in later):
            raise InputError(
                f"{where}: a quote that is opened here is closed on line {end} only, after lines that look like "
                f"rows; close it, or write the cell in one line"
            )
