"""The one reader of tables: what it understands, what it refuses and how it names it, and that nothing blocks it."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cervix_tf.data import delimited, manifest, tables
from cervix_tf.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(folder: Path, content: str | bytes) -> str:
    path = written(folder, content)
    with pytest.raises(InputError) as caught:
        tables.read(path, ["path", "label"])
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.jpg,x\n",
        "PATH,Label \r\n a.jpg , x\r\n",
        "path;label\na.jpg;x",
        "path\tlabel\na.jpg\tx\n",
        "sep=;\npath;label\na.jpg;x\n",
        '"sep=\t"\npath\tlabel\na.jpg\tx\n',
        "\ufeffpath,label\na.jpg,x\n",
        "path,label\na.jpg,x\n".encode("utf-16"),
        "path,label\ra.jpg,x\r",
        'path,label\n"a.jpg","x"\n',
        "path,label\n\n,\na.jpg,x\n,\n\n",
        "label,note,path\nx,,a.jpg\n",
        "Image bank; 2 cases\n\npath,label\na.jpg,x\n",
        '"Bank, with a line\nbreak",,\n,,\npath,label,note\na.jpg,x,"one, two\nthree"\n',
    ],
)
def test_every_way_to_write_the_same_table_is_read_the_same(content: str | bytes, tmp_path: Path) -> None:
    table = tables.read(written(tmp_path, content), ["path", "label"])
    assert [(row["path"], row["label"]) for row in table] == [("a.jpg", "x")]


def test_a_row_knows_the_line_of_the_file_where_it_begins(tmp_path: Path) -> None:
    path = written(tmp_path, 'bank\npath,note\na,"one\ntwo"\n\nb,x\n')
    table = tables.read(path, ["path"], ["note"])
    assert [row.where for row in table] == [f"{path}: line 3", f"{path}: line 6"]
    assert table.header_line == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('path,label\na,x\nb,"y\nc,z\nd,z\n', "line 3: a quote is opened and never closed"),
        ('path,label\na,"x\nb,y\nc,z"\nd,y\n', "line 2: a quote that is opened here is closed on line 4 only"),
        ('path,label\na,"x\nb,"y"\n', "line 2: a quote stands where none can stand"),
        ('path,label\na,"' + 200_000 * "x" + '"\n', "line 2: a cell of over 100,000 characters"),
        ("path,label\na\nb,x,y\n", "line 2: 1 cells under 2 columns"),
        ("path,label,Label\na,x,y\n", "line 1: column 'label' and 'Label' occurs 2 times"),
        ("path,label,label \na,x,y\n", "line 1: column 'label' and 'label ' occurs 2 times"),
        ("bank\npath,label,la bel\na,x,y\n", "line 2: column 'label' and 'la bel' occurs 2 times"),
        ("sep=|\npath|label\na|x\n", "line 1: no column 'path'; there are sep=|"),
        ("path,class\na,x\n", "line 1: no column 'label'; there are path, class"),
        ("", "is empty; its header names the columns path, label"),
        (",,\n\n", "is empty"),
        ("path,label\na,h\u00e4\n".encode("latin-1"), "line 2: byte 0xe4 is not UTF-8"),
        ("path,label\na,x\n".encode("utf-16-le"), "line 1: contains NUL bytes"),
        ("path,label\na,x\n".encode("utf-16")[:-1], "line 2 or later is not UTF-16"),
        ("path,label\na,x\0\n", "line 2: contains NUL bytes"),
        (b"PK\x03\x04" + bytes(30), "is a spreadsheet or an archive"),
        ("path,label," + ",".join(map(str, range(100_000))), "line 1: 100,002 columns, at most 1,000"),
        ("x" * (2**20 + 1), "line 1: has over 1,048,576 characters"),
    ],
)
def test_what_has_two_meanings_or_is_no_table_is_refused_with_its_line(
    content: str | bytes, message: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, content).startswith(message)


def test_two_columns_of_one_name_do_no_harm_where_nobody_reads_them(tmp_path: Path) -> None:
    table = tables.read(written(tmp_path, "path,Grade,grade,label\na,1,2,x\n"), ["path"], ["label"])
    assert table.column("label") == ["x"]
    with pytest.raises(KeyError):
        table.column("grade")


def test_an_undecodable_byte_is_found_however_far_the_decoder_has_read_ahead(tmp_path: Path) -> None:
    content = b"path,label\n" + 5000 * b"a,x\n" + b"b,\xff\n" + 5000 * b"a,x\n"
    assert refusal(tmp_path, content).startswith("line 5002: byte 0xff")


def test_a_pipe_a_device_a_link_to_one_and_a_link_in_a_circle_are_refused_in_a_second(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "pipe.xlsx").symlink_to("pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    (tmp_path / "folder.csv").mkdir()
    huge = tmp_path / "huge.csv"
    huge.touch()
    os.truncate(huge, 2**42)
    nothing = tmp_path / "nothing.csv"
    nothing.touch()
    os.truncate(nothing, 2**30)  # a billion NULs
    start = time.perf_counter()
    for name, message in (
        ("pipe.csv", "is a pipe or a device"),
        ("pipe.xlsx", "is a pipe or a device"),
        ("zero.csv", "is a pipe or a device"),
        ("circle.csv", "cannot be opened"),
        ("folder.csv", "is a folder"),
        ("huge.csv", "is it the right file"),
        ("nothing.csv", "line 1: contains NUL bytes"),
    ):
        for read in (lambda path: tables.read(path, ["path"]), manifest.read):
            with pytest.raises(InputError, match=f"{name}: .*{message}"):
                read(tmp_path / name)
    assert time.perf_counter() - start < 5  # 14 refusals, about 0.01 s on an idle machine


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6),
    delimiter=st.sampled_from(list(delimited.DELIMITERS)),
)
@example(rows=[("=1+1", "'=1", "''-2"), ("@x", "\tx", "+1"), ("-", "'", "'x")], delimiter=",")
@SHARED
def test_any_text_that_is_written_is_read_back_cell_by_cell(
    rows: list[tuple[str, str, str]], delimiter: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame([(f"i{at}", *row) for at, row in enumerate(rows)], columns=["id", "one", "two", "three"])
    text = tables.csv_text(frame.astype(object))
    if delimiter != ",":  # as a spreadsheet program would save it again
        import csv

        again = io.StringIO()
        csv.writer(again, delimiter=delimiter).writerows(csv.reader(io.StringIO(text, newline="")))
        text = again.getvalue()
    path = written(tmp_path, text)
    try:
        table = tables.read(path, ["id"], ["one", "two", "three"], exact=True)
    except InputError as error:  # a cell of several lines that could as well be rows
        assert "look like rows" in str(error)
        assert any(cell.count(delimiter) >= 3 for row in rows for cell in row)
        return
    assert list(zip(*table.cells[1:], strict=True)) == rows


@given(content=st.binary(max_size=300) | st.text(st.sampled_from('path,label;"\n\r\t\0=\ufeffé'), max_size=60))
@example(content=b"\xff\xfe")
@example(content=b"\xff\xfe\0\0p\0\0\0")
@example(content="sep=;")
@SHARED
def test_whatever_the_bytes_are_they_are_a_table_or_an_input_error(content: str | bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    for read in (lambda path: tables.read(path, ["path"], ["label"]), manifest.read):
        try:
            read(path)
        except InputError as error:
            assert str(error).startswith(str(path))


@given(content=st.binary(max_size=200))
@SHARED
def test_whatever_the_bytes_of_a_spreadsheet_are_they_are_an_input_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK\x03\x04" + content)
    with pytest.raises(InputError, match="cannot be read as"):
        tables.read(path, ["path"])


def test_nothing_that_is_written_begins_as_a_formula() -> None:
    cells = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "plain", "", "it's"]
    text = tables.csv_text(pd.DataFrame({"group": cells, "age": [1.5, None, -2.0, 0.1, 1e-5, 1 / 3, 7, 8, 9]}))
    lines = text.splitlines()[1:]
    assert not any(line.lstrip('"').startswith(("=", "+", "-", "@", "\t")) for line in lines)
    assert [line.rsplit(",", 1)[1] for line in lines[:5]] == ["1.5", "", "-2.0", "0.1", "1e-05"]  # numbers stay numbers


def test_sound_tables_are_written_byte_for_byte_as_pandas_writes_them() -> None:
    frame = pd.DataFrame(
        {
            "id": ["a,b", 'say "x"', "Lugol's", "é"],
            "p": [1 / 3, 1e-17, 0.1, 1.0],
            "age": [None, 3.0, 41.5, 0.0],
            "width": pd.array([1, None, 3, 4], dtype="Int64"),
            "yes": [True, False, True, False],
        }
    )
    assert tables.csv_text(frame) == frame.to_csv(index=False, lineterminator="\n")


@pytest.mark.parametrize(("text", "value"), [("34,5", 34.5), ("34.5", 34.5), ("1e-3", 0.001), (".5", 0.5), ("+2", 2)])
def test_a_number_may_have_a_decimal_comma(text: str, value: float) -> None:
    assert tables.number(text) == value


@pytest.mark.parametrize("text", ["", "1_0", "1.000,5", "1,2,3", "\u0663", "0x10", "nan", "infe5", " 1", "one"])
def test_what_only_a_programming_language_takes_for_a_number_is_none(text: str) -> None:
    assert tables.number(text) != tables.number(text)  # NaN


def test_reading_a_large_table_takes_time_in_proportion_to_its_rows(tmp_path: Path) -> None:
    def seconds(rows: int) -> float:
        path = written(tmp_path, "path,label,group\n" + "".join(f"{at}.jpg,x,g{at // 7}\n" for at in range(rows)))
        start = time.process_time()
        assert len(tables.read(path, ["path"], ["label", "group"], exact=True)) == rows
        return time.process_time() - start

    seconds(2000)
    assert seconds(160_000) < 12 * max(seconds(40_000), 0.02)  # four times the rows; quadratic would take sixteen times
