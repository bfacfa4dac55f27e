import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Annotated

import pytest

from cervix_tf import run_lock, start, tuning
from cervix_tf.config import AdamConfig
from cervix_tf.errors import InputError
from cervix_tf.ranges import FileOr, Folder
from cervix_tf.report import tables
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import Preset, Study, main
from cervix_tf.study.rows import RowStatus


@dataclasses.dataclass(frozen=True)
class Config:
    """A study."""

    net: AdamConfig = dataclasses.field(default_factory=lambda: AdamConfig(epochs=3))
    """Sec. 2."""
    weights: Annotated[str, FileOr("random")] = "random"
    folder: Annotated[Path | None, Folder()] = None
    seed: int = 0


PRESETS = {"paper": Preset(Config(), "as published"), "demo": Preset(Config(net=AdamConfig(epochs=1)), "small")}


def study(run, rows=lambda config, out, request: []):
    return Study("study", "A study", PRESETS, (1, 2), rows, run)


def call(tmp_path, *arguments, run=None):
    seen = []
    main(study(run or (lambda config, out, request: seen.append((config, out)))), ["--out", str(tmp_path), *arguments])
    return seen[0] if seen else None


def test_a_preset_is_overridden_field_by_field(tmp_path):
    config, out = call(tmp_path, "--preset", "demo", "--net.learning-rate", "0.5", "--seed", "7")
    assert config == Config(net=AdamConfig(epochs=1, learning_rate=0.5), seed=7)
    assert out.root == tmp_path / "study" / "demo"


def test_a_run_writes_its_configuration_and_environment_first(tmp_path):
    _, out = call(tmp_path, "--run", "mine")
    assert json.loads(out.config.read_text())["net"]["epochs"] == 3
    environment = json.loads(out.environment.read_text())
    assert environment["command_line"].startswith("python -m experiments.study --out")
    assert 1 <= environment["cores"] <= os.cpu_count() and environment["threads"] >= 1
    assert "round differently" in environment["reproducible"]
    assert environment["seed"] == 0 and environment["versions"]["tensorflow"].startswith("2.")


def test_the_same_command_goes_on_but_another_configuration_is_refused(tmp_path, capsys):
    _, out = call(tmp_path, "--run", "mine")
    out.metrics.write_text("{}")
    assert call(tmp_path, "--run", "mine")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine", "--net.epochs", "4")
    assert ended.value.code == 2
    assert "net.epochs was 3, now 4" in capsys.readouterr().err


def test_a_run_that_goes_on_at_another_commit_or_by_another_command_keeps_what_computed_its_first_part(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(start, "_commit", lambda _: "aaa")
    _, out = call(tmp_path, "--run", "mine")
    first = json.loads(out.environment.read_text())
    out.metrics.write_text("{}")
    assert call(tmp_path, "--run", "mine")
    assert json.loads(out.environment.read_text())["earlier"] == []
    assert "was computed at commit" not in capsys.readouterr().out
    monkeypatch.setattr(start, "_commit", lambda _: "bbb")
    for _ in range(2):
        call(tmp_path, "--run", "mine", "--no-images")
    found = json.loads(out.environment.read_text())
    assert f"note: {out.root}: was computed at commit aaa before, now at bbb" in capsys.readouterr().out
    (earlier,) = found["earlier"]
    assert earlier == {name: first[name] for name in ("command_line", "commit", "versions")}
    assert start.commits(found) == "aaa, bbb" and found["command_line"].endswith("--no-images")


def test_threads_that_cannot_be_had_any_more_are_refused(tmp_path, capsys):
    import tensorflow as tf

    now = len(tf.config.list_logical_devices()) and tuning.threads()  # at work: its threads cannot be changed any more
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--threads", str(now + 1))
    assert ended.value.code == 2
    assert f"--threads {now + 1}: TensorFlow is already running with {now} in this process" in capsys.readouterr().err
    assert call(tmp_path, "--threads", str(now))


def test_a_run_whose_initial_weights_were_replaced_under_their_name_is_refused_once_it_holds_something(
    tmp_path, capsys
):
    file, other = tmp_path / "own.weights.h5", tmp_path / "weights" / "net.weights.h5"
    other.parent.mkdir()
    file.write_bytes(b"first")
    other.write_bytes(b"other")
    command = ["--run", "mine", "--weights", str(file), "--folder", str(other.parent)]
    _, out = call(tmp_path, *command)
    noted = json.loads(out.environment.read_text())["initial_weights"]
    assert noted == {str(file): hashlib.sha256(b"first").hexdigest(), str(other): hashlib.sha256(b"other").hexdigest()}
    out.metrics.write_text("{}")
    (other.parent / "later.weights.h5").write_bytes(b"of a row that was not asked for before")
    assert call(tmp_path, *command)
    assert set(json.loads(out.environment.read_text())["initial_weights"]) > set(noted)
    other.write_bytes(b"replaced")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, *command)
    assert ended.value.code == 2
    assert f"{other}: has changed since {out.root} was started with it (SHA-256 " in capsys.readouterr().err
    other.write_bytes(b"other")
    assert call(tmp_path, *command)


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (
            {"threads": 99},
            "was started with 99 threads, now {now}, which round differently; give --threads 99, or choose",
        ),
        ({"deterministic": True}, "was started with --deterministic; give it again, or choose another run folder"),
    ],
)
def test_a_run_begun_with_other_threads_or_determinism_is_refused_once_it_holds_something(
    tmp_path, capsys, begun, said
):
    now = str(tuning.threads())
    _, out = call(tmp_path, "--run", "mine")
    out.environment.write_text(json.dumps(json.loads(out.environment.read_text()) | begun))
    assert call(tmp_path, "--run", "mine", "--threads", now)
    out.environment.write_text(json.dumps(json.loads(out.environment.read_text()) | begun))
    out.metrics.write_text("{}")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine", "--threads", now)
    assert ended.value.code == 2
    assert said.format(now=now) in capsys.readouterr().err


def test_a_run_that_holds_nothing_computed_yet_takes_another_configuration(tmp_path):
    def failing(config, out, request):
        out.audit.write_text("[]")
        out.manifest.write_text("path,label")
        raise InputError("--data.root is missing")

    with pytest.raises(SystemExit):
        call(tmp_path, "--run", "mine", run=failing)
    config, out = call(tmp_path, "--run", "mine", "--net.epochs", "4")
    assert json.loads(out.config.read_text())["net"]["epochs"] == config.net.epochs == 4
    assert not out.audit.exists() and not out.manifest.exists()  # of the other data, perhaps


def test_a_folder_that_is_no_run_is_refused_and_stays_as_it_is(tmp_path, capsys):
    precious = tmp_path / "study" / "mine" / "deep" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine")
    assert ended.value.code == 2
    assert "thesis.txt: is in a folder that is not a run" in capsys.readouterr().err
    assert precious.read_text() == "years of work"


def test_the_folder_of_an_evaluation_is_no_run_and_stays_as_it_is(tmp_path, capsys):
    out = RunDir(tmp_path / "study" / "mine")
    out.root.mkdir(parents=True)
    write_json(out.environment, {"command_line": "python -m cervix_tf.evaluate MODEL"})
    write_json(out.metrics, {})
    before = out.environment.read_bytes()
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine")
    assert ended.value.code == 2
    assert "metrics.json: is in a folder that is not a run (no config.json)" in capsys.readouterr().err
    assert out.environment.read_bytes() == before


def test_a_run_that_another_process_has_is_refused_before_anything_else(tmp_path, capsys):
    out = RunDir(tmp_path / "study" / "mine")
    out.root.mkdir(parents=True)
    with run_lock.held(out.root), pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine")
    assert ended.value.code == 2
    assert f"process {os.getpid()} on " in capsys.readouterr().err
    assert not out.config.exists()
    assert call(tmp_path, "--run", "mine")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "nope"], "choose from paper, demo"),
        (["--preset", "demo", "--preset=paper"], "--preset is given 2 times; give it once"),
        (["--net.epochs", "many"], "many"),
        (["--run", "../../x"], "--run '../../x': has a separator"),
    ],
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
    home = tmp_path / "anna"
    placed = Study(
        "study", "", {"one": Preset(Placed(), "")}, (1,), lambda *_: [], lambda _, out, __: write_json(out.metrics, {})
    )
    given = ["--out", f"{home}/runs", "--root", f"{home}/images", "--weights", f"{home}/w", "--no-images"]
    monkeypatch.setenv("HOME", "/nobody")
    main(placed, given)  # as a run of an earlier version: with the folder in its files
    out = RunDir(home / "runs" / "study" / "one")
    assert "anna" in out.config.read_text()
    monkeypatch.setenv("HOME", str(home))
    main(placed, given)  # the same run goes on
    out.metrics.unlink()
    out.config.unlink()
    main(placed, given)
    config, environment = json.loads(out.config.read_text()), json.loads(out.environment.read_text())
    assert (config["root"], config["weights"]) == ("~/images", "~/w")
    assert "--root ~/images" in environment["command_line"] and "anna" not in json.dumps([config, environment])
    assert environment["report_images"] is False


@pytest.mark.parametrize("listing", [[], ["--list"]])
def test_all_values_out_of_range_are_named_at_once_and_nothing_is_begun(tmp_path, capsys, listing):
    with pytest.raises(SystemExit) as ended:
        tabled(tmp_path, "--net.learning-rate", "-1", "--net.epochs", "0", "--threads", "-1", *listing)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: --threads -1: must be at least 0 and at most 1024\n"
        "--net.epochs 0: must be at least 1\n--net.learning-rate -1.0: must be above 0\n"
    )
    assert not list(tmp_path.iterdir())


def test_input_errors_of_a_run_are_one_line_without_traceback(tmp_path, capsys):
    def run(config, out, request):
        raise InputError("a.csv: line 3: label 'x': fix it")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: a.csv: line 3: label 'x': fix it\n"


def test_a_full_disk_is_reported_with_a_remedy(tmp_path, capsys):
    def run(config, out, request):
        raise OSError(28, "No space left on device", "model.keras")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert "model.keras: the disk is full" in capsys.readouterr().err


def test_bugs_keep_their_traceback(tmp_path):
    def run(config, out, request):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(tmp_path, run=run)


def tabled(tmp_path, *arguments):
    """What a study with tables 1 and 2 is asked for, run by run."""
    calls = []

    def run(config, out, request):
        calls.append((out.root.name, config.seed, request.tables, request.only))
        cell = {"value": 10.0 * config.seed, "low": 0.0, "high": 1.0, "n": 5, "method": "Wilson 95%"}
        tables.write(out.tables, [{"number": 1, "title": "T", "columns": ["Accuracy"], "rows": [
            {"name": "row", "paper": [1.0], "ours": [cell]}]}])  # fmt: skip

    def rows(config, out, request):
        return [RowStatus("row", "1 2", f"of seed {config.seed}", "3 min")]

    main(study(run, rows), ["--out", str(tmp_path), *arguments])
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


def test_means_over_seeds_are_made_of_every_run_that_a_command_fills(tmp_path):
    def beside(config, out, request):
        return [out, RunDir(out.root.with_name(f"{out.root.name}-beside"))]

    def run(config, out, request):
        for at, each in enumerate(beside(config, out, request)):
            cell = {"value": 10.0 * config.seed + at, "low": 0.0, "high": 1.0, "n": 5, "method": "Wilson 95%"}
            rows = [{"name": "row", "paper": None, "ours": [cell]}]
            write_json(each.config, {})
            tables.write(each.tables, [{"number": 1, "title": "T", "columns": ["Accuracy"], "rows": rows}])

    main(dataclasses.replace(study(run), fills=beside), ["--out", str(tmp_path), "--seeds", "0", "1"])
    means = {}
    for name in ("paper", "paper-beside"):
        (table,) = tables.read(RunDir(tmp_path / "study" / name).tables_of_seeds)
        means[name] = table["rows"][0]["ours"][0]["value"]
    assert means == {"paper": 5.0, "paper-beside": 6.0}


def failing_at_seed_1(error, begun):
    """A study's run that fails with one seed and writes a table with the others."""

    def run(config, out, request):
        begun.append(config.seed)
        if config.seed == 1:
            raise error
        tables.write(out.tables, [])

    return run


def test_a_seed_that_fails_does_not_stop_the_others_but_there_are_no_means(tmp_path, capsys):
    begun = []
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--seeds", "0", "1", "5", run=failing_at_seed_1(InputError("row a: diverged"), begun))
    assert ended.value.code == 2 and begun == [0, 1, 5]
    assert capsys.readouterr().err == "error: seed 1: row a: diverged\n"
    assert not RunDir(tmp_path / "study" / "paper").tables_of_seeds.exists()


@pytest.mark.parametrize(
    ("error", "ends"), [(KeyboardInterrupt(), SystemExit), (ZeroDivisionError(), ZeroDivisionError)]
)
def test_an_interrupt_or_a_bug_of_one_seed_ends_the_command_at_once(tmp_path, error, ends):
    begun = []
    with pytest.raises(ends):
        call(tmp_path, "--seeds", "0", "1", "5", run=failing_at_seed_1(error, begun))
    assert begun == [0, 1]


def test_a_seed_whose_run_has_another_configuration_is_refused_before_the_first_trains(tmp_path, capsys):
    call(tmp_path, "--seeds", "0", "5", run=lambda config, out, request: tables.write(out.tables, []))
    RunDir(tmp_path / "study" / "paper").tables.unlink()
    RunDir(tmp_path / "study" / "paper").tables_of_seeds.unlink()
    RunDir(tmp_path / "study" / "paper").report.unlink()
    begun = []
    with pytest.raises(SystemExit):
        call(tmp_path, "--seeds", "0", "5", "--net.epochs", "4", run=failing_at_seed_1(None, begun))
    assert "paper-seed-5: contains a run with a different configuration" in capsys.readouterr().err
    assert begun == []


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
