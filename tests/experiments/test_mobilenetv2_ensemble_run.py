"""The whole study, tiny: 36 synthetic visits, two epochs a network."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from cervix_tf import cli
from cervix_tf.evaluate import predictions
from cervix_tf.run_dir import RunDir
from experiments.mobilenetv2_ensemble import __main__ as study
from experiments.mobilenetv2_ensemble.config import CLASSES, DESCRIPTIONS, KINDS, PRESETS

TINY = [
    *("--preset", "demo", "--synthetic-visits", "36", "--images.height", "64", "--images.width", "96"),
    *(word for row in (*KINDS, "ensemble") for word in (f"--{row}.epochs", "2")),
    *("--images.batch-size", "8", "--feature-copies", "2"),
]


def run(out, *arguments):
    cli.main("mobilenetv2_ensemble", PRESETS, DESCRIPTIONS, study.run, [*TINY, "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
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
    assert list(finished.rows) == ["acetic", "ensemble", "green", "iodine"]


def test_its_results_are_labelled_synthetic(finished):
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
    from cervix_tf.export import runtime
    from experiments.mobilenetv2_ensemble.config import VIEWS

    expected = predictions.read(finished.predictions)
    everything = importers.load("cervigram_visits", finished.root / "data").manifest
    cases, _ = inputs.of_cases(everything.part("test"), CLASSES, VIEWS)
    for path in (finished.saved_model, finished.tflite()):
        found = runtime.probabilities(runtime.load(path), cases.files)
        np.testing.assert_allclose(found, expected.probabilities, atol=1e-4)


def test_starting_a_finished_run_again_trains_nothing_and_changes_no_result(finished):
    before = {path: path.read_bytes() for path in (finished.metrics, finished.predictions, finished.tables)}
    weights = finished.row("acetic").best_weights.stat().st_mtime_ns
    run(finished.root.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert finished.row("acetic").best_weights.stat().st_mtime_ns == weights


def test_help_takes_less_than_a_second_and_names_sections_of_the_paper():
    command = [sys.executable, "-m", "experiments.mobilenetv2_ensemble", "--help"]
    took = []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took.append(time.monotonic() - started)
    assert min(took) < 1.0
    assert "Table 1" in done.stdout and "sec. 3.5.2" in done.stdout
