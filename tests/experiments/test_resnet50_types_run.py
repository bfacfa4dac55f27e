"""The whole study, small, with a plain network in ResNet-50's place, which would take most of the time to trace."""

import json

import numpy as np
import pytest

from cervix_tf import contract, runs
from cervix_tf.data import inputs
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.resnet50_types import __main__ as study
from experiments.resnet50_types.config import CLASSES, PROTOCOLS
from tests import options

SMALL = [
    *("--preset", "demo", "--synthetic-women", "170", "--images.height", "48", "--images.width", "48"),
    *("--optimizer.epochs", "14", "--optimizer.learning-rate", "0.03"),
]


def run(out, *arguments):
    words = options.replacing([*SMALL, "--out", out], arguments)
    main(study.STUDY, words)


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out)
    return RunDir(out / "resnet50_types" / "demo")


def accuracy(said):
    return (said.decisions == said.labels).mean()


def test_both_protocols_learn_the_types_far_above_chance(finished):
    for place in (finished, finished.row("as_published")):
        said = predictions.read(place.predictions)
        assert len(said) > 60
        # Chance is 1/3; of 60 images, were they independent, 0.6 is 4.4 standard deviations above it.
        assert accuracy(said) > 0.6


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        finished.config,
        finished.environment,
        finished.manifest,
        finished.predictions,
        finished.validation_predictions,
        finished.metrics,
        finished.tables,
        finished.audit,
        finished.model,
        finished.contract,
        finished.saved_model / "saved_model.pb",
        finished.tflite(),
        finished.exports,
        finished.model_card,
        finished.paper_figures,
        finished.report,
    ):
        assert path.exists(), path
    published = finished.row("as_published")
    assert published.metrics.exists() and published.manifest.exists() and published.history.exists()
    assert not published.validation_predictions.exists()  # the paper has no validation part
    assert contract.read(finished.contract).synthetic


def test_the_difference_between_the_protocols_is_a_result_with_an_interval(finished):
    found = {table["number"]: table for table in json.loads(finished.tables.read_text())}
    assert list(found) == [1, 2, "Leak"]
    published, free = (predictions.read(place.predictions) for place in (finished.row("as_published"), finished))
    apart = found["Leak"]["rows"][0]["ours"][0]
    assert apart["value"] == pytest.approx(100 * (accuracy(published) - accuracy(free)))
    assert apart["low"] < apart["value"] < apart["high"] and "independent cluster bootstraps" in apart["method"]
    seen, unseen = (found["Leak"]["rows"][at]["ours"][0]["n"] for at in (1, 2))
    assert seen > 10 and seen + unseen == len(published)
    for table in found.values():
        assert "synthetic" in table["note"]
    for measured in (each for table in (found[2], found["Leak"]) for row in table["rows"] for each in row["ours"]):
        assert {"value", "low", "high", "n", "method"} <= set(measured)


def test_the_report_shows_the_papers_figures_of_both_rows_and_where_the_network_looked(finished):
    names = [each["name"] for each in json.loads(finished.paper_figures.read_text())]
    assert names == [f"Fig. {at} {protocol}" for at in (4, 5) for protocol in PROTOCOLS] + ["Fig. 6"]
    page = finished.report.read_text()
    assert "Grad-CAM maps" in page and "SYNTHETIC" in page
    assert "kept (" in page and "by val_loss" in page


def test_the_manifest_of_the_deployed_row_shares_no_group_between_its_parts(finished):
    listed = runs.manifest(finished)
    assert set(listed.rows["split"]) == {"train", "validation", "test"}
    assert (listed.rows.groupby("group")["split"].nunique() == 1).all()


def test_saved_model_and_tflite_answer_as_the_run_did(finished):
    expected = predictions.read(finished.predictions)
    tested = inputs.from_images(runs.manifest(finished).part("test"), CLASSES)
    order = [list(expected.table["id"]).index(name) for name in tested.rows["id"]]
    for path in (finished.saved_model, finished.tflite()):
        found = runtime.probabilities(runtime.load(path), tested.files)
        np.testing.assert_allclose(found, expected.probabilities[order], atol=1e-3)


def test_a_finished_run_is_not_trained_again_and_an_interrupted_one_ends_the_same(finished, capsys):
    before = {path: path.read_bytes() for path in (finished.metrics, finished.predictions, finished.tables)}
    finished.metrics.unlink()
    weights = finished.row("leak_free").best_weights.stat().st_mtime_ns
    run(finished.root.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert finished.row("leak_free").best_weights.stat().st_mtime_ns == weights
    assert "training images" not in capsys.readouterr().out


def test_a_command_for_one_row_leaves_the_other_one_in_the_tables(finished):
    before = finished.tables.read_bytes()
    run(finished.root.parents[1], "--only", "leak_free")
    assert finished.tables.read_bytes() == before


def test_the_list_says_how_far_both_rows_are(finished, tmp_path, capsys):
    run(finished.root.parents[1], "--list")
    lines = capsys.readouterr().out.splitlines()
    assert sum("finished" in line for line in lines) == 2
    assert any("deployed" in line and "leak_free" in line for line in lines)
    run(tmp_path, "--list")
    assert capsys.readouterr().out.count("not begun") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "random"), "--only random: no such row; choose from as_published, leak_free"),
        (("--synthetic-women", "0"), "--data.root is missing: give the folder of the study's images"),
        (("--synthetic-women", "0", "--data.root", "nowhere"), "nowhere"),
    ],
)
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *arguments)
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told
