import io
import json
import re
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cervix_tf.errors import InputError
from cervix_tf.report import tables
from cervix_tf.run_dir import RunDir

PROJECT = Path(__file__).resolve().parents[2]
NUMBER = r"\d+\.\d+"


def measured(value=70.8, low=55.9, high=83.0, n=48, method="Wilson 95%"):
    return {"value": value, "low": low, "high": high, "n": n, "method": method}


def table(**changes):
    whole = {
        "number": 6,
        "title": "Single networks and the ensemble",
        "columns": ["Accuracy", "F1 score"],
        "rows": [
            {
                "name": "Ensemble",
                "paper": [81.25, 81.2],
                "ours": [measured(), measured(n=47)],
                "row": "ensemble",
            }
        ],
        "note": "Made up for a test, synthetic.",
    }
    return whole | changes


def printed(found, width=80):
    text = io.StringIO()
    tables.console(found, Console(file=text, width=width))
    return text.getvalue()


def test_what_is_written_is_read_back(tmp_path):
    run = RunDir(tmp_path)
    tables.write(run.tables, [table()])
    assert tables.read(run.tables) == [table()]


def test_a_row_with_too_few_numbers_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"row 'short': 1 numbers for 2 columns"):
        tables.write(RunDir(tmp_path).tables, [table(rows=[{"name": "short", "paper": [1.0], "ours": None}])])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken", [{"rows": 3}, [1], [{"rows": [{"name": "a"}, 5], "columns": []}]])
def test_a_file_that_holds_no_tables_is_an_input_error(tmp_path, broken):
    (tmp_path / "tables.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"tables\.json"):
        tables.read(RunDir(tmp_path).tables)


@pytest.mark.parametrize("spread", ["[95 % CI]", "[5th, 95th percentile]"])
@pytest.mark.parametrize("name", ["F1", "Class 0", "Superficial-Intermediate found"])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_a_terminal_of_80_characters_cuts_no_number(columns, name, spread):
    numbers = [measured(value=97.6, low=91.2, high=100.0) for _ in range(columns)]
    row = {"name": "Network of iodine images", "paper": [81.25] * columns, "ours": numbers, "row": "iodine"}
    text = printed([table(columns=[f"{name} {at}" for at in range(columns)], rows=[row], spread=spread)])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    for part in ("81.25", "97.6", "[91.2,", "100.0]"):
        assert sum(line.count(part) for line in lines) == columns, part


@pytest.mark.parametrize("path", sorted(PROJECT.glob("experiments/*/results/*.json")), ids=lambda path: path.stem)
def test_no_number_of_the_studies_results_is_cut_off(path):
    for each in json.loads(path.read_text())["tables"]:
        there = Counter(re.findall(NUMBER, printed([each], width=100)))
        wanted = Counter(
            re.findall(NUMBER, " ".join(part for row in each["rows"] for part in chain(*tables.cells(each, row))))
        )
        assert not wanted - there, each["title"]


def test_a_heading_breaks_after_a_hyphen_and_a_title_at_the_edge_of_the_terminal_alone():
    title = "Accuracy of each class by the nearest neighbors, of one network"
    row = {"name": "ImageNet", "paper": None, "ours": [measured()], "row": ""}
    lines = printed([table(title=title, columns=["Superficial-intermediate"], rows=[row])], width=160).splitlines()
    assert lines[0].startswith(f"Table 6. {title}")
    text = printed([table(columns=["Superficial-intermediate"] * 6, rows=[row | {"ours": [measured()] * 6}])], 120)
    assert re.search(r"( +Superficial-){6} *\n( +intermediate){6}", text)


@pytest.mark.parametrize("width", [20, 80])
def test_a_table_without_rows_is_its_heading(width):
    assert "Table 6" in printed([table(rows=[])], width)


def test_the_terminal_shows_paper_ours_interval_n_method_and_note():
    text = printed([table()])
    for part in (
        "Table 6",
        "81.25",
        "81.2",
        "70.8",
        "[55.9,83.0]",
        "n = 48",
        "n = 47",
        "Wilson 95%",
        "synthetic",
    ):
        assert part in text


def test_an_interval_is_never_broken_on_a_terminal_of_80_columns():
    names = ["MobileNetV2 trained on acetic acid images", "Ensemble, binary classification mode"]
    wide = table(
        columns=["Accuracy", "Precision", "Recall", "F1 score"],
        rows=[{"name": name, "paper": [71.24] * 4, "ours": [measured()] * 4} for name in names],
    )
    text = printed([wide])
    assert text.count("[55.9,83.0]") == 8
    assert "…" not in text


def test_square_brackets_in_names_are_no_markup():
    assert "[red]net[/red]" in printed([table(rows=[{"name": "[red]net[/red]", "paper": None, "ours": None}])], 120)


def test_what_the_paper_lacks_or_was_not_run_is_a_dash():
    row = {"name": "r", "paper": None, "ours": None}
    assert tables.cells(table(), row) == [("–", "–"), ("–", "–")]


@pytest.mark.parametrize(
    ("ours", "said"), [([measured(), None], True), (None, True), ([measured(), measured()], False)]
)
def test_a_dash_among_ours_is_explained_once_at_the_end(ours, said):
    text = tables.markdown([table(rows=[{"name": "r", "ours": ours}])] * 2)
    assert text.count("– (ours): not measured in this run, or not defined") == said


def test_a_dash_of_the_papers_is_explained_too():
    rows = [{"name": "r", "paper": [1.0, None], "ours": [measured(), measured()]}]
    assert tables.markdown([table(rows=rows)]).rstrip().endswith("– (paper): not given")


def test_an_undefined_number_says_why():
    none = measured(None, None, None, 0, "undefined: no row of cancer")
    row = {"name": "r", "paper": [None, 3.0], "ours": [none, None]}
    assert tables.cells(table(), row) == [("–", "not defined (no row of cancer)"), ("3.0", "–")]


def test_a_number_without_interval_stands_alone():
    row = {"name": "r", "ours": [measured(100.0, None, None), measured()]}
    assert tables.cells(table(), row)[0][1] == "100.0"


def test_each_method_and_note_is_said_once_and_numbers_point_to_it():
    rows = [{"name": name, "paper": None, "ours": [measured(), measured(method="bootstrap")]} for name in "ab"]
    text = tables.markdown([table(rows=rows), table(rows=rows, number=7)])
    assert text.count("n = 48, Wilson 95%") == text.count("n = 48, bootstrap") == text.count("Made up") == 1
    assert text.count("70.8 [55.9, 83.0]²") == text.count("70.8 [55.9, 83.0]³") == 4
    assert "**Table 6. Single networks and the ensemble**¹" in text and "² n = 48, Wilson 95%" in text


def test_where_the_paper_has_no_number_its_column_is_left_out():
    rows = [{"name": "a", "paper": [None, None], "ours": [measured(), None]}]
    assert "paper" not in tables.markdown([table(rows=rows, note="")])
    assert "paper" not in printed([table(rows=rows)])
    assert "paper" in printed([table()])


@given(name=st.text(), title=st.text())
def test_markdown_keeps_its_columns_whatever_the_names(name, title):
    text = tables.markdown([table(rows=[{"name": name, "paper": [1.0, 2.0], "ours": None}], columns=[title, "b"])])
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert len(lines) == 3
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4


def test_markdown_shows_paper_and_ours():
    text = tables.markdown([table()])
    assert r"| Ensemble | 81.25 \| 70.8 [55.9, 83.0]² | 81.2 \| 70.8 [55.9, 83.0]³ |" in text
    assert "¹ Made up for a test, synthetic." in text


def test_counts_are_whole_numbers():
    rows = [{"name": "NILM", "paper": [518.0, None], "ours": [{"value": 40}, None], "row": ""}]
    found = table(number=1, unit=tables.IMAGES, spread="", rows=rows)
    assert tables.cells(found, rows[0]) == [("518", "40"), ("–", "–")]


def test_the_papers_own_intervals_stand_behind_its_numbers():
    row = {"name": "r", "paper": [83.529], "paper_bounds": [(73.91, 90.69)], "ours": [{"value": 80.0}]}
    found = {"number": 7, "title": "t", "columns": ["c"], "rows": [row]}
    assert "| r | 83.53 [73.9, 90.7] \\| 80.0 |" in tables.markdown([found])
