"""The whole study, tiny: synthetic cells, plain networks in the place of the main row's and of one more."""

import json

import numpy as np
import pandas as pd
import pytest

from cervix_tf.metrics import embeddings, predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.cvm_cervix.__main__ import STUDY
from tests import options

TINY = [
    *("--preset", "demo", "--main", "resnet18", "--synthetic-cells", "16", "--similar"),
    *("--images.height", "32", "--images.width", "32", "--optimizer.epochs", "2", "--timed-passes", "3"),
    *("--cosine", "--label-smoothing", "0.1", "--test-time-augmentation"),
]


def run(out, *arguments):
    main(STUDY, options.replacing([*TINY, "--out", out], arguments))


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out, "--tables", "3", "--only", "resnet18", "vgg11", "probe")
    return RunDir(out / "cvm_cervix" / "demo")


def tables_of(finished):
    return {table["number"]: table for table in json.loads(finished.tables.read_text())}


def test_networks_that_are_compared_with_train_as_many_epochs_as_configured(finished):
    lengths = {name: len(pd.read_csv(finished.row(name).history)) for name in ("resnet18", "vgg11")}
    assert lengths == {"resnet18": 2, "vgg11": 1}
    assert "2 epochs (1 for the networks compared with it)" in tables_of(finished)[3]["note"]


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        finished.config,
        finished.environment,
        finished.manifest,
        finished.predictions,
        finished.validation_predictions,
        finished.metrics,
        finished.tables,
        finished.embeddings,
        finished.cost,
        finished.model,
        finished.contract,
        finished.saved_model / "saved_model.pb",
        finished.tflite(),
        finished.tflite("float16"),
        finished.exports,
        finished.model_card,
        finished.paper_figures,
        finished.report,
    ):
        assert path.exists(), path
    assert set(finished.rows) == {"resnet18", "resnet18-float16", "resnet18-flips", "vgg11", "probe"}


def test_every_table_of_the_run_stands_there_with_intervals_and_says_that_it_is_synthetic(finished):
    found = tables_of(finished)
    assert list(found) == [1, "Fig. 5", 3, "Fig. 6", "Sec. 4.5", "Sec. 4.6", "Extra", "Probe"]
    assert all("synthetic" in table["note"] for table in found.values())
    there = [row for row in found[3]["rows"] if row["ours"]]
    assert [row["row"] for row in there] == ["vgg11", "resnet18"] and len(found[3]["rows"]) == 23
    for row in [*there, *found["Fig. 5"]["rows"], *found["Extra"]["rows"]]:
        assert all({"value", "low", "high", "n", "method"} <= set(each) for each in row["ours"])
        assert row["paper"] is None or row in there  # the paper's numbers are of other data
    assert found[1]["rows"][-1]["ours"][-1] == {"value": 11 * 16}
    assert found["Sec. 4.5"]["columns"] == ["Epoch", "Training", "Test image", "Forward pass"]
    assert found["Sec. 4.5"]["rows"][0]["ours"][2]["n"] == len(predictions.read(finished.predictions))


def test_sixteen_bit_weights_take_half_and_change_next_to_nothing(finished):
    cost = json.loads(finished.cost.read_text())
    assert cost["mebibytes"]["16"] == cost["mebibytes"]["32"] / 2 == cost["parameters"] * 2 / 2**20
    whole, half = (predictions.read(out.predictions) for out in (finished, finished.row("resnet18-float16")))
    assert 0 < np.abs(whole.probabilities - half.probabilities).max() < 0.02


def test_features_are_those_of_the_test_images(finished):
    found = embeddings.read(finished.embeddings)
    assert found.values.shape == (len(predictions.read(finished.predictions)), 48)


def test_the_learning_rate_falls_along_a_cosine(finished):
    rates = pd.read_csv(finished.row("resnet18").history)["learning_rate"]
    np.testing.assert_allclose(rates, [1e-3, 5e-4], rtol=1e-6)


def test_the_report_shows_confusion_features_and_misclassified_cells(finished):
    names = [each["name"] for each in json.loads(finished.paper_figures.read_text())]
    assert names == ["Fig. 6 validation", "Fig. 6 test", "Fig. 12 a", "Fig. 12 b-f"]
    assert "Grad-CAM++" in finished.report.read_text()


def test_an_interrupted_run_goes_on_and_ends_with_the_same_numbers(finished, capsys):
    probe = finished.row("probe")  # of random initial weights, which must be those of an uninterrupted run too
    written = (finished.metrics, finished.predictions, finished.tables, probe.metrics, probe.predictions)
    before = {path: path.read_bytes() for path in written}
    finished.metrics.unlink()
    probe.metrics.unlink()
    weights = finished.row("resnet18").best_weights.stat().st_mtime_ns
    run(finished.root.parents[1], "--tables", "3", "--only", "resnet18", "vgg11", "probe")
    timed = finished.tables  # the time of a forward pass is measured again
    assert {path: path.read_bytes() for path in before if path != timed} == {
        path: found for path, found in before.items() if path != timed
    }
    assert finished.row("resnet18").best_weights.stat().st_mtime_ns == weights
    assert "vgg11:" not in capsys.readouterr().out


def test_the_list_says_how_far_every_row_is(finished, capsys):
    run(finished.root.parents[1], "--list")
    lines = capsys.readouterr().out.splitlines()
    assert sum("finished" in line for line in lines) == 3
    assert any("main model" in line and "resnet18" in line for line in lines)
    assert sum("not begun" in line for line in lines) == 23


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "resnet19"), "resnet19: no such row; choose from resnet18, cvm, vgg11"),
        (("--synthetic-cells", "0"), "--data.root is missing: give the folder of the study's images"),
        (("--task", "herlev"), "synthetic cells are drawn for the combined data only"),
        (("--tables", "4"), "--tables 4: is of other images than --task combined, and synthetic cells are drawn for"),
    ],
)
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error


def test_a_run_of_the_same_protocol_is_no_measure_of_a_leak(finished, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, "--reference-run", str(finished.root), "--optimizer.epochs", "1")
    assert "is leak_free too; give a run of the other protocol" in capsys.readouterr().err
