import re
from pathlib import Path

import pytest

from cervix_tf.errors import InputError
from cervix_tf.report import results, seeds
from cervix_tf.run_dir import RunDir, read_json, write_json

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    out = RunDir(tmp_path / "run")
    ours = {"value": 80.0, "low": 70.0, "high": 90.0, "n": 48, "method": "Wilson 95%"}
    rows = [{"name": "Ensemble", "row": "ensemble", "paper": [81.25], "ours": [ours]}]
    write_json(out.tables, [{"number": 6, "title": "Rows", "columns": ["Accuracy"], "rows": rows, "note": "synthetic"}])
    write_json(
        out.environment,
        {
            "command_line": "run --data.root /secret/place --weights /secret/else/first.h5 --run a/b --by=/secret/c",
            "commit": "abc",
            "processor": "two",
            "data_root": "/secret/place",
        },
    )
    out.manifest.write_text("path,sha256\na.png,\n")
    write_json(out.config, {})
    history = out.row("acetic").history
    history.parent.mkdir(parents=True)
    history.write_text("epoch,seconds\n1,30\n2,60\n")
    return out


def test_a_runs_tables_stand_on_the_page_of_results_beside_those_of_other_runs(tmp_path, run):
    folder = tmp_path / "study" / "results"
    results.update(run, folder, "b-second")
    results.update(run, folder, "a-first")
    text = (folder / "README.md").read_text()
    assert text.startswith("# Results of study\n") and text.index("## a-first") < text.index("## b-second")
    assert "80.0 [70.0, 90.0]" in text and "81.25" in text and "1.5 minutes" in text


@pytest.mark.parametrize("name", ["README.md", "demo.json"])
def test_a_file_that_is_no_result_is_not_replaced(tmp_path, run, name):
    own = tmp_path / "mine" / name
    own.parent.mkdir()
    own.write_text('{"my": "notes"}')
    with pytest.raises(InputError, match=rf"{re.escape(str(own))}: already exists"):
        results.update(run, own.parent, "demo")
    assert own.read_text() == '{"my": "notes"}' and list(own.parent.iterdir()) == [own]


def test_a_result_names_every_command_and_commit_that_computed_a_part_of_it(tmp_path, run):
    environment = read_json(run.environment)
    earlier = {"command_line": "run --data.root /secret/place --only first", "commit": "def"}
    write_json(run.environment, {**environment, "earlier": [earlier, {**earlier, "commit": "def-dirty"}]})
    found = results.of_run(run)
    assert found["commit"] == "def, def-dirty, abc"
    assert found["command"].startswith("run --data.root DATA --only first && run --data.root DATA --weights")


def test_the_page_says_what_is_kept_of_each_run(tmp_path, run):
    folder = tmp_path / "study" / "results"
    results.update(run, folder, "demo")
    assert "Kept: [histories](demo/)." in (folder / "README.md").read_text()
    (folder / "demo" / "predictions.csv").write_text("")
    assert "Kept: [histories and test predictions](demo/)." in results.page(folder)
    (folder / "older.json").write_bytes((folder / "demo.json").read_bytes())
    assert results.page(folder).count("Kept:") == 1


def test_where_data_and_weights_lie_is_not_published(tmp_path, run):
    results.update(run, tmp_path, "demo")
    text = (tmp_path / "README.md").read_text()
    assert "/secret" not in text
    assert "run --data.root DATA --weights first.h5 --run a/b --by=c" in text


def test_a_marked_number_is_written_from_its_result(tmp_path, run):
    results.update(run, tmp_path, "demo")
    page = "| ours | <!-- cell demo.json; 6; Ensemble; Accuracy -->99.9<!-- end --> % |"
    assert results.with_cells(page, tmp_path) == page.replace("99.9", "80.0 [70.0, 90.0]")


def test_the_mean_over_seeds_is_published_beside_the_first_seeds_own_number(tmp_path, run):
    """80, and 84 of the second seed: mean 82, standard deviation 2.8."""
    first = read_json(run.tables)
    second = [{**first[0], "rows": [{**first[0]["rows"][0], "ours": [{"value": 84.0}]}]}]
    write_json(run.tables_of_seeds, seeds.over({0: first, 1: second}))
    results.update(run, tmp_path, "demo")
    text = (tmp_path / "README.md").read_text()
    assert text.index("80.0 [70.0, 90.0]") < text.index("Rows, over seeds 0, 1") < text.index("82.0 ± 2.8")
    page = "<!-- cell demo.json; {}; Ensemble; Accuracy -->{}<!-- end -->"
    for table, number in (("6", "80.0 [70.0, 90.0]"), ("6 over seeds", "82.0 ± 2.8")):
        assert results.with_cells(page.format(table, ""), tmp_path) == page.format(table, number)


@pytest.mark.parametrize(
    "pointer",
    ["6 over seeds; Ensemble; Accuracy", "7; Ensemble; Accuracy", "6; Ensembles; Accuracy", "6; Ensemble; F1"],
)
def test_a_marked_number_that_no_result_has_is_an_error(tmp_path, run, pointer):
    results.update(run, tmp_path, "demo")
    with pytest.raises(InputError, match=r"demo.json: has no table"):
        results.with_cells(f"<!-- cell demo.json; {pointer} --><!-- end -->", tmp_path)


def test_a_marked_number_that_two_lines_of_a_row_have_is_an_error(tmp_path, run):
    found = read_json(run.tables)
    (line,) = found[0]["rows"]
    write_json(run.tables, [{**found[0], "rows": [line | {"row": "best"}, line | {"row": "best", "name": "Second"}]}])
    results.update(run, tmp_path, "demo")
    with pytest.raises(InputError, match="has 2 lines of the row 'best'; give the name of one: 'Ensemble', 'Second'"):
        results.with_cells("<!-- cell demo.json; 6; best; Accuracy --><!-- end -->", tmp_path)
    assert "80.0" in results.with_cells("<!-- cell demo.json; 6; Second; Accuracy --><!-- end -->", tmp_path)


def test_a_name_that_is_no_file_name_is_refused(tmp_path, run):
    with pytest.raises(InputError, match="lower-case letters"):
        results.update(run, tmp_path, "../demo")


@pytest.mark.parametrize("folder", sorted(PROJECT.glob("experiments/*/results")), ids=lambda path: path.parent.name)
def test_the_page_of_results_is_what_was_measured(folder):
    assert (folder / "README.md").read_text() == results.page(folder)


DOCUMENTS = [PROJECT / "README.md", *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("experiments/*/README.md")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_numbers_in_the_documentation_are_those_that_were_measured(path):
    text = path.read_text()
    assert text == results.with_cells(text, PROJECT)


@pytest.mark.parametrize("path", sorted(PROJECT.glob("experiments/*/results/*.json")), ids=lambda path: path.parts[-3:])
def test_a_result_comes_from_a_clean_commit(path):
    assert re.fullmatch(r"[0-9a-f]{12}(, [0-9a-f]{12})*", read_json(path)["commit"])
