from pathlib import Path

import pytest

from cervix_tf.errors import InputError
from cervix_tf.report import readme
from cervix_tf.run_dir import RunDir, write_json

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
    history = out.row("acetic").history
    history.parent.mkdir(parents=True)
    history.write_text("epoch,seconds\n1,30\n2,60\n")
    return out


def page(tmp_path, text="# Study\n\n<!-- results demo -->\nold\n<!-- end demo -->\n\nafter\n"):
    path = tmp_path / "README.md"
    path.write_text(text)
    return path


def test_a_runs_tables_stand_between_the_markers_and_the_rest_stays(tmp_path, run):
    path = page(tmp_path)
    readme.update(run, path, "demo")
    text = path.read_text()
    assert text.startswith("# Study\n\n<!-- results demo -->\n") and text.endswith("<!-- end demo -->\n\nafter\n")
    assert "80.0 [70.0, 90.0]" in text and "81.25" in text and "1.5 minutes" in text and "old" not in text


def test_where_data_and_weights_lie_is_not_published(tmp_path, run):
    path = page(tmp_path)
    readme.update(run, path, "demo")
    assert "/secret" not in path.read_text()
    assert "run --data.root DATA --weights first.h5 --run a/b --by=c" in path.read_text()


def test_a_block_that_was_edited_by_hand_differs_from_its_results(tmp_path, run):
    path = page(tmp_path)
    readme.update(run, path, "demo")
    (there, measured), *_ = readme.blocks(path).values()
    assert there == measured
    path.write_text(path.read_text().replace("80.0", "88.0"))
    (there, measured), *_ = readme.blocks(path).values()
    assert there != measured


def test_missing_markers_are_an_error_that_says_what_to_add(tmp_path, run):
    with pytest.raises(InputError, match="results demo"):
        readme.update(run, page(tmp_path, "# Study\n"), "demo")


@pytest.mark.parametrize("path", sorted(PROJECT.glob("experiments/*/README.md")), ids=lambda path: path.parent.name)
def test_the_results_in_a_studys_readme_are_those_that_were_measured(path):
    for name, (there, measured) in readme.blocks(path).items():
        assert there == measured, f"block {name}: write it with python -m cervix_tf.report.readme"
