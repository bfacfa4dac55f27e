"""Calibration and operating point: chosen on validation, inside every format, and decided by alike everywhere."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

import cervix_tf
from cervix_tf import contract as contracts
from cervix_tf import runs
from cervix_tf.errors import InputError
from cervix_tf.export import __main__ as export
from cervix_tf.export import decisions, formats, latency, model_card
from cervix_tf.metrics import predictions
from cervix_tf.predict import __main__ as predict
from cervix_tf.run_dir import RunDir, read_json

EVERY = ["saved_model", "tflite-float32", "tflite-int8"]


@pytest.fixture
def run(single_run, tmp_path, monkeypatch):
    """The run of single images, with validation predictions: its test ones under other names, every fifth wrong."""
    monkeypatch.setattr(latency, "milliseconds", lambda *_, **__: [1.0, 1.0])  # no clock
    out = RunDir(tmp_path / "run")
    shutil.copytree(single_run.root, out.root, ignore=shutil.ignore_patterns("images"))
    tested = predictions.read(out.predictions)
    generator = np.random.default_rng(0)
    labels = [each if at % 5 else generator.choice(tested.classes) for at, each in enumerate(tested.table["label"])]
    names = [f"validation {at}" for at in range(len(tested))]
    predictions.write(
        predictions.from_arrays(names, tested.probabilities, tested.classes, labels=labels), out.validation_predictions
    )
    return out


def exported(run, *options, formats=("tflite-float32",)):
    export.main([str(run.root), "--formats", *formats, *options])


@pytest.mark.parametrize("method", ["temperature", "platt", "vector"])
def test_every_format_gives_the_calibrated_probabilities_and_decides_alike(run, method):
    exported(run, "--calibrate", method, "--operating-point", "sensitivity:0.8", formats=EVERY)
    contract = contracts.read(run.contract)
    assert contract.calibration.method == method and contract.operating_point.rule == "sensitivity:0.8"
    tests, expected = runs.tested_inputs(run, runs.manifest(run), contract)
    files = [each[0] for each in tests.files]
    models = {
        each: cervix_tf.load(path)
        for each, path in (
            ("keras", run.model),
            ("saved_model", run.saved_model),
            ("tflite", run.tflite()),
            ("int8", run.tflite("int8")),
        )
    }
    found = {name: model.predict(files) for name, model in models.items()}
    columns = [f"p_{name}" for name in contract.classes]
    assert 0.1 < found["keras"]["positive"].mean() < 0.9
    for name, table in found.items():
        assert models[name].contract == contract
        np.testing.assert_allclose(table[columns], expected, atol=0.05 if name == "int8" else 1e-4)
        if name != "int8":
            pd.testing.assert_series_equal(table["positive"], found["keras"]["positive"])
            assert (table["most_probable"] == found["keras"]["most_probable"]).all()


def test_a_model_is_less_sure_after_calibration_and_as_before_without(run):
    exported(run)
    before = cervix_tf.load(run.tflite()).predict(str(runs.data_root(run)))
    exported(run, "--calibrate", "temperature")
    after = cervix_tf.load(run.tflite()).predict(str(runs.data_root(run)))
    assert after.filter(like="p_").max(axis=1).mean() < before.filter(like="p_").max(axis=1).mean() - 0.02
    assert (after["most_probable"] == before["most_probable"]).all()
    exported(run)  # keeps it
    assert contracts.read(run.contract).calibration is not None
    exported(run, "--calibrate", "none")
    again = cervix_tf.load(run.tflite()).predict(str(runs.data_root(run)))
    np.testing.assert_allclose(again.filter(like="p_"), before.filter(like="p_"), atol=1e-6)
    assert contracts.read(run.contract).calibration is None


def test_test_rows_say_how_good_both_are(run):
    exported(run, "--calibrate", "temperature", "--operating-point", "youden")
    found = read_json(run.decisions)
    measures = found["calibration_measures"]
    assert measures["method"] == "temperature" and len(set(measures["scale"])) == 1
    values = [measures[when]["metrics"]["log_loss"]["value"] for when in ("before", "after")]
    assert values[0] != values[1]
    counts = found["operating_point"]["counts"]
    assert counts["positive"] == 20 and counts["negative"] == 40
    assert found["operating_point"]["metrics"]["sensitivity"]["value"] == 1 - counts["missed"] / 20


def test_a_new_calibration_moves_the_threshold_of_the_same_rule(run):
    exported(run, "--operating-point", "sensitivity:0.9")
    before = contracts.read(run.contract)
    exported(run, "--calibrate", "temperature")
    after = contracts.read(run.contract)
    assert after.operating_point.rule == before.operating_point.rule
    assert after.operating_point.threshold != before.operating_point.threshold
    _, expected = runs.tested_inputs(run, runs.manifest(run), after)
    undone = after.calibration.undone(expected)
    called = [
        point.called(values, [0])[1]
        for point, values in ((before.operating_point, undone), (after.operating_point, expected))
    ]
    assert (called[0] == called[1]).mean() > 0.95
    exported(run, "--operating-point", "none")
    assert contracts.read(run.contract).operating_point is None


def test_the_calls_of_a_file_at_the_operating_point_are_compared_with_the_runs(run, capsys):
    exported(run, "--operating-point", "sensitivity:0.8")
    (row,) = read_json(run.exports)
    assert row["point_agreement"] == 1 and row["widest_point_change"] == 0
    assert "at the operating point, 100.0 % of decisions agree" in capsys.readouterr().out
    model_card.write(run)
    assert "100.0 % of 60, 100.0 % at the operating point" in run.model_card.read_text()
    # The run's own answers, moved across the threshold: as if the file called every positive one otherwise.
    point, found = contracts.read(run.contract).operating_point, predictions.read(run.predictions)
    moved = found.table.assign(p_red=np.minimum(found.table["p_red"], 0.99 * point.threshold))
    moved["p_green"] = 1 - moved["p_red"] - moved["p_blue"]
    predictions.write(predictions.Predictions(moved, found.classes), run.predictions)
    with pytest.raises(SystemExit):
        exported(run)
    assert "decisions agree at the operating point" in capsys.readouterr().err


def test_files_of_the_model_before_do_not_stay(run):
    exported(run)
    targets = [formats.target_of(run, name) for name in get_args(formats.Format)]
    for target in targets:
        target.touch()
    decisions.decide(run, "temperature")
    assert not [path for path in (*targets, run.exports) if path.exists()]


@pytest.mark.parametrize("lost", ["folder", "last test image"])
def test_what_cannot_be_exported_anew_is_not_taken_away(run, capsys, lost):
    exported(run)
    images = runs.data_root(run)
    moved = shutil.copytree(images, run.root / "moved")
    if lost == "folder":
        run.environment.write_text(json.dumps({"data_root": str(run.root / "nowhere")}))
    else:
        tests, _ = runs.tested_inputs(run, runs.manifest(run), runs.contract(run))
        (moved / Path(*Path(tests.files[-1][0]).parts[-2:])).unlink()
    kept = (run.contract, run.model, run.tflite(), run.exports)
    before = [path.read_bytes() for path in kept]
    with pytest.raises(SystemExit):
        exported(run, "--calibrate", "temperature", *(("--root", str(moved)) if lost != "folder" else ()))
    assert "--root" in capsys.readouterr().err
    assert [path.read_bytes() for path in kept] == before
    if lost == "folder":
        exported(run, "--calibrate", "temperature", "--root", str(moved))
        assert cervix_tf.load(run.tflite()).contract.calibration.method == "temperature"


def test_a_killed_calibration_is_found_and_ended_by_the_same_command(run, monkeypatch):
    exported(run)
    with monkeypatch.context() as killed:
        killed.setattr(decisions.serving, "calibrated", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            decisions.decide(run, "temperature")
    with pytest.raises(SystemExit):
        exported(run)
    exported(run, "--calibrate", "temperature")
    assert cervix_tf.load(run.root).contract.calibration.method == "temperature"


def test_predict_says_who_is_positive_and_by_what(run, capsys):
    exported(run, "--operating-point", "sensitivity:0.8")
    capsys.readouterr()
    point = contracts.read(run.contract).operating_point
    image = str(runs.data_root(run) / "c000" / "image.png")
    predict.main([str(run.root), image])
    said = capsys.readouterr().out
    shown = float(said.splitlines()[0].split("score from ")[1])
    assert shown == pytest.approx(point.threshold, abs=5e-4) and "(sensitivity:0.8 on validation rows)" in said
    assert ("positive" if cervix_tf.load(run.root).predict(image)["positive"].item() else "negative") in said
    predict.main([str(run.root), image, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["operating_point"]["threshold"] == point.threshold
    assert found["predictions"][0]["positive"] == (found["predictions"][0]["score"] >= point.threshold)


def test_what_cannot_be_chosen_is_refused(run, capsys):
    right = predictions.read(run.validation_predictions)
    predictions.write(right.where(right.labels == right.decisions), run.validation_predictions)
    for options, words in (
        (["--operating-point", "best"], "--operating-point best: is not a rule"),
        (["--calibrate", "temperature"], "right on every row"),
    ):
        with pytest.raises(SystemExit):
            exported(run, *options)
        assert words in capsys.readouterr().err
    same = predictions.read(run.predictions)
    predictions.write(same, run.validation_predictions)
    with pytest.raises(InputError, match="validation and test share 60 groups"):
        decisions.decide(run, operating_point="youden")
    run.validation_predictions.unlink()
    with pytest.raises(InputError, match=r"predictions_validation\.csv"):
        decisions.decide(run, "temperature")
    contracts_before = contracts.read(run.contract)
    replace(contracts_before, positive=(), digest="").write(run.contract)
    with pytest.raises(InputError, match="no positive classes"):
        decisions.decide(run, operating_point="youden")
