"""The whole study, tiny: 36 synthetic visits, trunks of two blocks, two epochs per network."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cervix_tf
from cervix_tf import contract, runs
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.mobilenetv2_ensemble.__main__ import STUDY
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS

TINY = [
    *("--preset", "demo", "--synthetic-visits", "36", "--images.height", "64", "--images.width", "96"),
    *(word for row in (*KINDS, "ensemble") for word in (f"--{row}.epochs", "2")),
    *("--images.batch-size", "8", "--feature-copies", "2", "--timed-passes", "2"),
    *("--baselines.images.height", "32", "--baselines.images.width", "43"),
    *("--network.acetic-maps", "4", "--network.green-maps", "8", "--network.iodine-maps", "4"),
    *("--imbalance.longer", "1"),
]


def run(out, *arguments):
    main(STUDY, [*TINY, "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, short_mobilenet_v2, plain_backbone):
    out = tmp_path_factory.mktemp("saved_models")
    run(out)
    return RunDir(out / "mobilenetv2_ensemble" / "demo")


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        finished.config,
        finished.environment,
        finished.manifest,
        finished.predictions,
        finished.validation_predictions,
        finished.metrics,
        finished.tables,
        finished.model,
        finished.contract,
        finished.saved_model / "saved_model.pb",
        finished.tflite(),
        finished.exports,
        finished.model_card,
        finished.report,
    ):
        assert path.exists(), path
    assert list(finished.rows) == ["acetic", "ensemble", "ensemble-fine-tuned", "green", "iodine"]
    assert not finished.row("ensemble-fine-tuned").metrics.exists()  # the main row's are the run's


def test_its_results_are_labeled_synthetic(finished):
    assert json.loads(finished.metrics.read_text())["synthetic"] is True
    assert json.loads(finished.contract.read_text())["synthetic"] is True
    for page in (finished.report, finished.model_card):
        assert "synthetic" in page.read_text().lower()


def test_predictions_are_of_the_test_cases_alone(finished):
    cases = predictions.read(finished.predictions)
    assert cases.classes == CLASSES
    splits = [line.split(",") for line in finished.manifest.read_text().splitlines()]
    case, split = splits[0].index("case"), splits[0].index("split")
    assert set(cases.table["id"]) == {row[case] for row in splits[1:] if row[split] == "test"}


def test_the_saved_model_alone_gives_the_runs_predictions(finished):
    from cervix_tf.data import importers, inputs
    from experiments.mobilenetv2_ensemble.config import VIEWS

    expected = predictions.read(finished.predictions)
    everything = importers.load("cervigram_visits", finished.root / "data").manifest
    cases, _ = inputs.from_cases(everything.part("test"), CLASSES, VIEWS)
    for path in (finished.saved_model, finished.tflite()):
        found = runtime.probabilities(runtime.load(path), cases.files)
        np.testing.assert_allclose(found, expected.probabilities, atol=1e-4)


def test_starting_a_finished_run_again_trains_nothing_and_changes_no_result(finished):
    before = {path: path.read_bytes() for path in (finished.metrics, finished.predictions, finished.tables)}
    weights = finished.row("acetic").best_weights.stat().st_mtime_ns
    run(finished.root.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert finished.row("acetic").best_weights.stat().st_mtime_ns == weights


MORE = ("ensemble-end-to-end", "acetic-exp100", "resnet18-balanced", "time-tuned")


@pytest.fixture(scope="module")
def continued(finished, tmp_path_factory):
    """A copy of the finished run, killed while deployed, then asked for rows of every kind; what files held before."""
    out = tmp_path_factory.mktemp("continued") / "saved_models"
    shutil.copytree(finished.root.parents[1], out)
    more = RunDir(out / "mobilenetv2_ensemble" / "demo")
    before = {path: path.read_bytes() for path in (more.metrics, more.predictions, more.row("acetic").history)}
    more.contract.unlink()
    more.model.write_text("half of one")
    run(out, "--only", *MORE)
    return more, before


def test_a_run_killed_before_its_contract_was_written_deploys_the_ensemble_that_it_measured(continued, finished):
    out, _ = continued
    made = contract.read(out.contract)
    assert made == contract.read(finished.contract) and (made.native_height, made.native_width) == (480, 640)
    cases, expected = runs.tested_inputs(out, runs.manifest(out), made)
    found = runtime.probabilities(runtime.load(out.saved_model), cases.files)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def metrics_of(out, row):
    return json.loads(out.row(row).metrics.read_text())


def test_a_run_asked_for_more_rows_leaves_the_finished_ones_as_they_are(continued):
    out, before = continued
    assert {path: path.read_bytes() for path in before} == before
    for row in MORE:
        assert out.row(row).metrics.exists()
    assert not out.row("resnet18").metrics.exists()  # trained as far as needed, not asked for


def test_dynamic_weights_are_in_the_history_and_follow_the_training_error_rates(continued):
    from cervix_tf.losses.dynamic_weights import dynamic_weights

    history = pd.read_csv(continued[0].row("acetic-exp100").history)
    weights, rates = (history[[f"{what}_{name}" for name in CLASSES]].to_numpy() for what in ("weight", "tpr"))
    np.testing.assert_allclose(weights[0], 0.25)
    np.testing.assert_allclose(weights[1], dynamic_weights(rates[0], "exp(100x)"))


def test_each_fine_tuning_has_its_own_learning_rate(continued):
    out, _ = continued
    for row, rate in (("ensemble-fine-tuned", 1e-8), ("ensemble-end-to-end", 1e-4)):
        assert pd.read_csv(out.row(row).history)["learning_rate"][0] == pytest.approx(rate)


def test_a_baselines_balanced_row_is_the_other_checkpoint_of_one_training(continued):
    out, _ = continued
    kept = out.row("resnet18")
    assert kept.best_weights.exists() and kept.best_weights_by("val_harmonic_mean_tpr").exists()
    assert len(predictions.read(out.row("resnet18-balanced").predictions)) == 5 * len(predictions.read(out.predictions))


def test_a_time_has_its_percentiles_and_the_number_of_passes(continued):
    found = metrics_of(continued[0], "time-tuned")["milliseconds"]
    assert 0 < found["low"] <= found["value"] <= found["high"] and found["n"] == 2


def test_tables_hold_what_is_finished_and_leave_the_rest_empty(continued):
    tables = {table["number"]: table for table in json.loads(continued[0].tables.read_text())}
    assert {6, 7, 8, 9, 10} <= set(tables) and 5 not in tables
    rows = {row["row"]: row["ours"] for row in tables[8]["rows"]}
    assert rows["acetic"] and rows["acetic-exp100"] and rows["acetic-focal-1"] is None
    assert [len(tables[number]["columns"]) for number in (6, 7, 8)] == [4, 1, 6]
    assert tables[7]["unit"] == "milliseconds"


def test_the_report_shows_the_papers_figures(continued):
    out, _ = continued
    drawn = {each["name"] for each in json.loads(out.paper_figures.read_text())}
    assert {"Fig. 3", "Fig. 4", "Fig. 5", "Fig. 6", "Fig. 7", "Fig. 10"} <= drawn and "Fig. 8 vgg19" not in drawn
    assert "Confusion matrix of acetic-exp100" in drawn
    html = out.report.read_text()
    assert "Fig. 6" in html and "Table 8" in html and "milliseconds" in html


def test_the_margin_curves_pass_through_the_predictions_of_the_confusion_matrix(continued):
    found = json.loads(continued[0].metrics.read_text())
    matrix = np.array(found["confusion"])
    for at, name in enumerate(CLASSES):
        fpr, tpr = found["margin"]["per_class"][name]["prediction"]
        assert tpr == pytest.approx(matrix[at, at] / matrix[at].sum())
        others = np.delete(matrix, at, axis=0)
        assert fpr == pytest.approx(others[:, at].sum() / others.sum())


def test_how_much_heat_lies_on_the_drawn_evidence_is_measured(continued):
    found = json.loads(continued[0].evidence.read_text())
    assert set(found) == {"heat", "even"} and all(each["method"] for each in found.values())


WITHOUT_EXPERIMENTS = """
import importlib, sys, importlib.util
assert importlib.util.find_spec("experiments") is None
run, case = sys.argv[1:]
for name, *arguments in (
    ("evaluate", "saved_model_alone", "--manifest", f"{run}/manifest.csv", "--root", f"{run}/data", "-o", "of_folder"),
    ("evaluate", "alone.tflite", "--manifest", f"{run}/manifest.csv", "--root", f"{run}/data", "-o", "of_file"),
    ("predict", run, case, "--json", "--heatmap", "heat"),
    ("export", run, "--formats", "tflite-float16", "--repeats", "1", "--force"),
):
    importlib.import_module(f"cervix_tf.{name}.__main__").main(arguments)
"""


def test_a_finished_run_serves_people_who_do_not_have_the_study(finished, tmp_path):
    # An environment of its own with the library alone. A plain path in a .pth file lends it the installed packages
    # but not what those packages' own .pth files add, such as a development install of this checkout.
    alone, run = tmp_path / "environment", tmp_path / "run"
    venv.create(alone, symlinks=True, with_pip=False)
    (site,) = alone.glob("lib/python3*/site-packages")
    (site / "lent.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("-packages")))
    shutil.copytree(Path(cervix_tf.__file__).parent, site / "cervix_tf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(finished.root, run, ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(finished.saved_model, tmp_path / "saved_model_alone")
    shutil.copy(finished.tflite(), tmp_path / "alone.tflite")
    expected = predictions.read(finished.predictions)
    case = run / "data" / expected.table["id"][0]

    def python(*arguments):
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [alone / "bin" / "python", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = python("-c", WITHOUT_EXPERIMENTS, run, case)
    assert done.returncode == 0, done.stderr
    for folder in ("of_folder", "of_file"):
        found = predictions.read(tmp_path / folder / "predictions.csv")
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
        assert (tmp_path / folder / "report.html").is_file()
    answer = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])["predictions"][0]
    np.testing.assert_allclose(list(answer["probabilities"].values()), expected.probabilities[0], atol=1e-4)
    assert len(list((tmp_path / "heat").glob("*.png"))) == 1
    assert (run / "model_float16.tflite").is_file()
    (run / "report.html").unlink()
    written = python("-m", "cervix_tf.report", run)
    assert written.returncode == 0, written.stderr
    assert "tflite-float16" in (run / "report.html").read_text()
