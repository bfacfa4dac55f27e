from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.data import manifest, names
from cervix_tf.errors import InputError

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
PARTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1).filter(
    lambda part: part.strip(".") != "" and ":" not in part
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
NAMING = ("label", "view", "site", "split")
SIZES = st.none() | st.integers(1, 999_999)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    # Two spellings of one label are a mistake, so these are drawn from words that do not look alike.
    words = {column: draw(st.lists(WORDS, min_size=1, unique_by=names.plain)) for column in NAMING}
    rows = [
        {
            "path": path,
            "sha256": draw(st.sampled_from(["", "0123456789abcdef" * 4])),
            "case": f"case {at}",
            "age": draw(st.none() | st.floats(0, 130)),
            "width": draw(SIZES),
            "height": draw(SIZES),
            "group": draw(WORDS),
            **{column: draw(st.sampled_from(words[column])) for column in NAMING},
        }
        for at, path in enumerate(draw(st.lists(PATHS, min_size=1, max_size=5, unique=True)))
    ]
    return rows


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "manifest.csv"


def problems(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        manifest.read(path)
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


@given(rows=tables())
def test_what_is_written_is_read_back_cell_by_cell(
    rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("round") / "manifest.csv"
    before = manifest.from_records(rows, path.parent)
    manifest.write(before, path)
    after = manifest.read(path)
    assert after.root == path.parent
    pd.testing.assert_frame_equal(after.rows, before.rows, check_exact=True)


@given(
    text=WORDS,
    control=st.sampled_from("\n\r\t\x00\x1f\udcff"),
    column=st.sampled_from(["path", "label", "view"]),
)
def test_line_breaks_control_characters_and_undecodable_names_are_refused(text: str, control: str, column: str) -> None:
    record = {"path": "a.jpg"} | {column: f"x{control}{text}"}
    with pytest.raises(InputError, match=rf"line 1: {column} .*has control characters"):
        manifest.from_records([record], Path())


def test_every_wrong_row_is_reported_at_once_with_line_column_value_and_remedy(csv: Path) -> None:
    found = problems(
        csv,
        "path,sha256,label,case,view,age,width\n"
        "/abs/a.jpg,,x,,,,\n"
        "../b.jpg,,x,,,,\n"
        "c.jpg,ABC,x,,,200,0\n"
        "\n"
        "fine.jpg,,x,v1,green,41.5,640\n"
        "fine.jpg,,x,v1,green,old,640.5\n"
        "d\\e.jpg,,x,,,,\n"
        "C:/f.jpg,,x,,,,\n"
        "./g.jpg,,x,,,,\n"
        ",,x,,,,\n"
        "h.jpg,,x\n",
    )
    beginnings = [
        "line 12: 3 cells under 7 columns",
        "line 2: path '/abs/a.jpg': is absolute",
        "line 3: path '../b.jpg': leaves the data root",
        "line 7: path 'fine.jpg': stands on line 6 already",
        "line 8: path 'd\\\\e.jpg': has backslashes",
        "line 9: path 'C:/f.jpg': is absolute",
        "line 10: path './g.jpg': has . or an empty part",
        "line 11: path '': is empty",
        "line 4: sha256 'ABC': is not 64",
        "line 4: age '200': is not an age",
        "line 7: age 'old': is not an age",
        "line 4: width '0': is not a number of pixels",
        "line 7: width '640.5': is not a number of pixels",
        "line 7: view 'green': case 'v1' has this view already",
    ]
    assert len(found) == len(beginnings)
    for line, beginning in zip(found, beginnings, strict=True):
        assert line.startswith(beginning)


def test_many_problems_are_cut_to_fifty_lines_and_counted(csv: Path) -> None:
    found = problems(csv, "path\n" + "".join(f"/{at}.jpg\n" for at in range(80)))
    assert len(found) == 51
    assert found[-1] == "and 30 more problems of these kinds"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label,color\na.jpg,x,red\n", "line 1: unknown column 'color'"),
        ("# ours\npath;label;color\na.jpg;x;red\n", "line 2: unknown column 'color'"),
        ("path,label,label\na.jpg,x,y\n", "line 1: column 'label' occurs 2 times"),
        ("label\nx\n", "line 1: no column 'path'"),
        ("path,label\n", "no rows"),
        ("", "is empty; its header names the columns path"),
        ('path,label\n"a.jpg,x\nb.jpg,y\n', "line 2: a quote is opened and never closed"),
        ("path,label\na.jpg,häßlich\n".encode("latin-1"), "line 2: byte 0xe4 is not UTF-8"),
        ("path\na.jpg\n".encode("utf-16-le"), "line 1: contains NUL bytes"),
        (b"path\na.jpg\0\n", "line 2: contains NUL bytes"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused_with_its_remedy(csv: Path, content: str | bytes, message: str) -> None:
    (found,) = problems(csv, content)
    assert found.startswith(message)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        manifest.read(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="is a folder"):
        manifest.read(tmp_path)


def test_windows_line_ends_a_byte_order_mark_and_missing_columns_are_fine(csv: Path, tmp_path: Path) -> None:
    csv.write_bytes(b"\xef\xbb\xbfpath,age,width\r\na/b.jpg,30,640\r\nc.jpg,,\r\n")
    read = manifest.read(csv, root=tmp_path / "images")
    assert read.paths() == [str(tmp_path / "images" / "a" / "b.jpg"), str(tmp_path / "images" / "c.jpg")]
    assert tuple(read.rows.columns) == manifest.COLUMNS
    assert read.rows["age"][0] == 30 and pd.isna(read.rows["age"][1])
    assert read.rows["width"][0] == 640 and pd.isna(read.rows["width"][1])
    assert (read.rows["label"] == "").all()


def test_part_and_where_number_their_rows_from_zero(tmp_path: Path) -> None:
    records = [{"path": f"{at}.jpg", "split": "test" if at % 2 else "train"} for at in range(4)]
    tested = manifest.from_records(records, tmp_path).part("test")
    assert tested.rows["path"].tolist() == ["1.jpg", "3.jpg"]
    assert tested.rows.index.tolist() == [0, 1]


def test_joining_refuses_other_roots_and_images_that_stand_in_two(tmp_path: Path) -> None:
    one = manifest.from_records([{"path": "a.jpg"}], tmp_path)
    two = manifest.from_records([{"path": "b.jpg"}], tmp_path)
    assert manifest.joined([one, two]).rows["path"].tolist() == ["a.jpg", "b.jpg"]
    with pytest.raises(InputError, match=r"a\.jpg: is in two"):
        manifest.joined([one, one])
    with pytest.raises(InputError, match="different data roots"):
        manifest.joined([one, manifest.from_records([{"path": "b.jpg"}], tmp_path / "other")])


def test_labels_outside_the_classes_and_a_single_class_are_refused() -> None:
    def labeled(*labels: str) -> manifest.Manifest:
        return manifest.from_records([{"path": f"{at}", "label": label} for at, label in enumerate(labels)], Path())

    manifest.check_labels(labeled("a", "b", ""), ["a", "b", "c"])
    with pytest.raises(InputError, match=r"manifest: 1: label 'd' is not among the classes a, b \(2 such rows\)"):
        manifest.check_labels(labeled("a", "d", "d"), ["a", "b"])
    with pytest.raises(InputError, match="only one class, a, in 2 rows"):
        manifest.check_labels(labeled("a", "a"), ["a", "b"])
    with pytest.raises(
        InputError, match=r"only one class, a, in 1 row; training and evaluation need at least two classes$"
    ):
        manifest.check_labels(labeled("a"), ["a"])
    with pytest.raises(InputError, match="no label in 1 row"):
        manifest.check_labels(labeled(""), ["a", "b"])


@given(path=PATHS | st.text(st.sampled_from("ab./\\:\x00\x1f\udc80é"), max_size=8))
def test_the_fast_check_of_a_path_agrees_with_the_one_that_explains(path: str) -> None:
    rows = [{"path": path}]
    if manifest.path_remedy(path):
        with pytest.raises(InputError, match="line 1: path"):
            manifest.from_records(rows, Path())
    else:
        assert manifest.from_records(rows, Path()).rows["path"].tolist() == [path]


def test_a_manifest_saved_again_by_a_spreadsheet_program_is_the_same_manifest(csv: Path) -> None:
    rows = [
        {"path": "-a/@b.jpg", "label": "=1", "group": "+w", "age": 34.5, "width": 5},
        {"path": "c.jpg", "label": "x"},
    ]
    before = manifest.from_records(rows, csv.parent)
    manifest.write(before, csv)
    assert csv.read_text().splitlines()[1].startswith("'-a/@b.jpg,,'=1,'+w,")
    pd.testing.assert_frame_equal(manifest.read(csv).rows, before.rows)
    csv.write_text("sep=;\n" + csv.read_text().replace(",", ";").replace("34.5", "34,5"))
    pd.testing.assert_frame_equal(manifest.read(csv).rows, before.rows)


def test_two_spellings_of_a_split_are_refused(csv: Path) -> None:
    (line,) = problems(csv, "path,split\na.jpg,train\nb.jpg,Train\nc.jpg,test\n")
    assert line.startswith("split 'Train' (1 row: line 3) and 'train' (1 row: line 2): differ only in case")


def test_a_manifest_is_read_in_time_and_memory_in_proportion_to_its_rows(csv: Path) -> None:
    def cost(rows: int) -> float:
        digest = "0123456789abcdef" * 4
        lines = (
            f"f{at % 9}/i{at}.jpg,{digest},x,w{at // 14},c{at // 7},v_{at % 7},s,d,train,{at % 90},640,480\n"
            for at in range(rows)
        )
        csv.write_text(",".join(manifest.COLUMNS) + "\n" + "".join(lines))
        start = time.process_time()
        assert len(manifest.read(csv)) == rows
        return time.process_time() - start

    cost(1000)
    assert cost(80_000) < 12 * max(cost(20_000), 0.05)  # four times the rows; quadratic would take sixteen times


@pytest.mark.parametrize(
    ("rows", "line", "first"),
    [
        (40_000, "i{0}.jpg,x\ni{0}.jpg,x\n", "line 3: path 'i0.jpg': stands on line 2 already"),
        (8_000, "a{0}.jpg,x{0}\nb{0}.jpg,X{0}\n", "label 'X0' \\(1 row: line 3\\) and 'x0'"),
    ],
)
def test_a_manifest_of_wrong_rows_is_refused_in_time_in_proportion_to_its_rows(
    csv: Path, rows: int, line: str, first: str
) -> None:
    def cost(rows: int) -> float:
        csv.write_text("path,label\n" + "".join(line.format(at) for at in range(rows)))
        start = time.process_time()
        with pytest.raises(InputError, match=first):
            manifest.read(csv)
        return time.process_time() - start

    cost(100)
    assert cost(rows) < 12 * max(cost(rows // 4), 0.05)  # four times the rows; quadratic would take sixteen times
