import dataclasses
import json
import os
from pathlib import Path

import pytest

from cervix_tf import cli
from cervix_tf.config import Optimiser
from cervix_tf.errors import InputError
from cervix_tf.report import tables
from cervix_tf.run_dir import RunDir


@dataclasses.dataclass(frozen=True)
class Config:
    """A study."""

    net: Optimiser = dataclasses.field(default_factory=lambda: Optimiser(epochs=3))
    """Sec. 2."""
    seed: int = 0


PRESETS = {"paper": Config(), "demo": Config(net=Optimiser(epochs=1))}
DESCRIPTIONS = {"paper": "as published", "demo": "small"}


def call(tmp_path, *arguments, run=None):
    seen = []
    cli.main(
        "study",
        PRESETS,
        DESCRIPTIONS,
        run or (lambda *got: seen.append(got)),
        ["--out", str(tmp_path), *arguments],
    )
    return seen[0] if seen else None


def test_a_preset_is_overridden_field_by_field(tmp_path):
    config, out = call(tmp_path, "--preset", "demo", "--net.learning-rate", "0.5", "--seed", "7")
    assert config == Config(net=Optimiser(epochs=1, learning_rate=0.5), seed=7)
    assert out.root == tmp_path / "study" / "demo"


def test_a_run_writes_its_configuration_and_environment_first(tmp_path):
    _, out = call(tmp_path, "--run", "mine")
    assert json.loads(out.config.read_text())["net"]["epochs"] == 3
    environment = json.loads(out.environment.read_text())
    assert environment["command_line"].startswith("python -m experiments.study --out")
    assert 1 <= environment["cores"] <= os.cpu_count() and environment["threads"] >= 1
    assert "round otherwise" in environment["repeatable"]
    assert environment["seed"] == 0 and environment["versions"]["tensorflow"].startswith("2.")


def test_the_same_command_goes_on_but_another_configuration_is_refused(tmp_path, capsys):
    call(tmp_path, "--run", "mine")
    assert call(tmp_path, "--run", "mine")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine", "--net.epochs", "4")
    assert ended.value.code == 2
    assert "net.epochs was 3, now 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--preset", "nope"], "there are paper, demo"), (["--net.epochs", "many"], "many")],
)
def test_wrong_options_end_with_exit_code_2(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, *arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@dataclasses.dataclass(frozen=True)
class Placed(Config):
    """A study of files."""

    weights: str = ""
    root: Path | None = None


def test_a_runs_files_name_no_user_and_the_same_command_still_fits(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "anna"))
    given = ["--out", str(tmp_path / "anna" / "runs"), "--root", str(tmp_path / "anna" / "images"), "--no-images"]
    given += ["--weights", str(tmp_path / "anna" / "w")]
    for _ in range(2):
        cli.main(
            "study",
            {"one": Placed()},
            {"one": ""},
            lambda config, out: None,
            [*given, "--weights", f"{tmp_path}/anna/w"],
        )
    out = RunDir(tmp_path / "anna" / "runs" / "study" / "one")
    config, environment = json.loads(out.config.read_text()), json.loads(out.environment.read_text())
    assert (config["root"], config["weights"]) == ("~/images", "~/w")
    assert "--root ~/images" in environment["command_line"] and "anna" not in json.dumps([config, environment])
    assert environment["report_images"] is False


def test_a_run_begun_with_other_threads_is_not_gone_on_with(tmp_path, capsys):
    _, out = call(tmp_path, "--run", "mine")
    begun = json.loads(out.environment.read_text())
    out.environment.write_text(json.dumps(begun | {"threads": begun["threads"] + 1}))
    with pytest.raises(SystemExit):  # TensorFlow is there already, so its threads cannot be changed any more
        call(tmp_path, "--run", "mine")
    assert f"was begun with threads {begun['threads'] + 1}, now {begun['threads']}" in capsys.readouterr().err


@pytest.mark.parametrize("listing", [[], ["--list"]])
def test_all_values_out_of_range_are_named_at_once_and_nothing_is_begun(tmp_path, capsys, listing):
    with pytest.raises(SystemExit) as ended:
        tabled(tmp_path, "--net.learning-rate", "-1", "--net.epochs", "0", *listing)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: --net.epochs 0: must be at least 1\n--net.learning-rate -1.0: must be above 0\n"
    )
    assert not list(tmp_path.iterdir())


def test_input_errors_of_a_run_are_one_line_without_traceback(tmp_path, capsys):
    def run(config, out):
        raise InputError("a.csv: line 3: label 'x': mend it")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: a.csv: line 3: label 'x': mend it\n"


def test_a_full_disk_is_reported_with_a_remedy(tmp_path, capsys):
    def run(config, out):
        raise OSError(28, "No space left on device", "model.keras")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert "model.keras: the disk is full" in capsys.readouterr().err


def test_bugs_keep_their_traceback(tmp_path):
    def run(config, out):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(tmp_path, run=run)


def tabled(tmp_path, *arguments):
    """What a study with tables 1 and 2 is asked for, run by run."""
    calls = []

    def run(config, out, asked):
        calls.append((out.root.name, config.seed, asked.tables, asked.only))
        cell = {"value": 10.0 * config.seed, "low": 0.0, "high": 1.0, "n": 5, "method": "Wilson 95%"}
        tables.write(out.tables, [{"number": 1, "title": "T", "columns": ["Accuracy"], "rows": [
            {"name": "row", "paper": [1.0], "ours": [cell]}]}])  # fmt: skip

    def listed(config, out, asked):
        return [cli.Listed("row", "1 2", f"of seed {config.seed}", "3 min")]

    given = ["--out", str(tmp_path), *arguments]
    cli.main("study", PRESETS, DESCRIPTIONS, run, given, tables=(1, 2), listed=listed)
    return calls


def test_tables_and_rows_are_asked_of_the_run_and_are_no_part_of_its_configuration(tmp_path):
    assert tabled(tmp_path) == [("paper", 0, (), ())]
    assert tabled(tmp_path, "--tables", "1", "2", "--only", "row") == [("paper", 0, (1, 2), ("row",))]


def test_a_table_that_the_paper_has_not_ends_with_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        tabled(tmp_path, "--tables", "3")
    assert ended.value.code == 2
    assert "3" in capsys.readouterr().err


def test_each_seed_is_a_run_of_its_own_and_the_first_ones_report_has_mean_and_deviation(tmp_path, capsys):
    assert [call[:2] for call in tabled(tmp_path, "--seeds", "0", "1", "5")] == [
        ("paper", 0), ("paper-seed-1", 1), ("paper-seed-5", 5)
    ]  # fmt: skip
    (table,) = tables.read(RunDir(tmp_path / "study" / "paper").tables_of_seeds)
    (cell,) = table["rows"][0]["ours"]
    assert cell["value"] == 20.0 and cell["deviation"] == pytest.approx(26.457513) and cell["n"] == 3
    assert "over seeds 0, 1, 5" in capsys.readouterr().out
    assert "20.0\u00a0±\u00a026.5" in (tmp_path / "study" / "paper" / "report.html").read_text()


def test_a_number_that_only_one_seed_has_gets_no_deviation(tmp_path):
    from cervix_tf.report import seeds

    def table(value):
        cell = None if value is None else {"value": value, "low": None, "high": None, "n": 1, "method": ""}
        return [{"number": 1, "title": "", "columns": ["a"], "rows": [{"name": "row", "paper": None, "ours": [cell]}]}]

    assert seeds.over({0: table(1.0), 1: table(None)})[0]["rows"][0]["ours"] == [None]


def test_a_list_runs_nothing_and_writes_nothing(tmp_path, capsys):
    assert tabled(tmp_path, "--list", "--seeds", "0", "1") == []
    said = capsys.readouterr().out
    assert "of seed 0" in said and "of seed 1" in said and "3 min" in said
    assert not list(tmp_path.iterdir())
