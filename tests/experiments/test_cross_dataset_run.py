"""The whole study, small, with a plain network in the backbones' place, which would take most of the time to trace."""

import json

import numpy as np
import pytest

from cervix_tf import contract, runs
from cervix_tf.data import manifest
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.cross_dataset import __main__ as study
from tests import options

SMALL = [
    *("--preset", "demo", "--synthetic-cells", "36", "--images.height", "24", "--images.width", "24"),
    *("--optimizer.epochs", "2", "--recalibrations", "2"),
]
ROWS = ("sipakmed", "sipakmed-reinhard", "cric_crops", "cric_crops-reinhard")


def run(out, *arguments):
    main(study.STUDY, options.replacing([*SMALL, "--out", out], arguments))


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out)
    return RunDir(out / "cross_dataset" / "demo")


def tables(finished):
    return {each["number"]: each for each in json.loads(finished.tables.read_text())}


def test_every_network_is_tested_on_every_data_set_and_on_the_same_images(finished):
    tested = {}
    for row in ROWS:
        for name in ("sipakmed", "cric_crops"):
            own = row.startswith(name)
            place = finished if row == name == "sipakmed" else finished.row(row if own else f"{row}-on-{name}")
            tested.setdefault(name, []).append(predictions.read(place.predictions).table["id"].tolist())
    for name, several in tested.items():
        assert len(several) == 4 and all(each == several[0] for each in several)
        assert all(each.startswith(f"{name}/") for each in several[0])


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        *(finished.config, finished.environment, finished.manifest, finished.predictions, finished.metrics),
        *(finished.validation_predictions, finished.tables, finished.audit, finished.model, finished.contract),
        *(finished.saved_model / "saved_model.pb", finished.tflite(), finished.exports, finished.model_card),
        *(finished.paper_figures, finished.report),
    ):
        assert path.exists(), path
    terms = contract.read(finished.contract)
    assert terms.synthetic and terms.classes == ("negative", "positive") and terms.positive == ("positive",)
    assert {path.split("/")[0] for path in runs.manifest(finished).rows["path"]} == {"sipakmed"}


def test_no_group_that_is_tested_is_trained_chosen_or_recalibrated_on(finished):
    tests, others = set(), set()
    for name in ("sipakmed", "cric_crops"):
        rows = manifest.read((finished if name == "sipakmed" else finished.row(name)).manifest).rows
        tests |= set(rows[rows["split"] == "test"]["group"])
        others |= set(rows[rows["split"] != "test"]["group"])
    pool = predictions.read(finished.row("sipakmed-on-cric_crops-local").predictions)
    assert tests and not tests & others and not tests & set(pool.groups)


def test_the_tables_hold_what_the_rows_measured(finished):
    found = tables(finished)
    assert list(found) == ["Data", "Table 1a", "Table 1b", "Table 1c", "Table 1d"]
    assert [row["row"] for row in found["Table 1a"]["rows"]] == list(ROWS)
    there = json.loads(finished.row("sipakmed-on-cric_crops").metrics.read_text())
    auc = found["Table 1a"]["rows"][0]["ours"][1]
    assert auc["value"] == pytest.approx(100 * there["binary"]["metrics"]["auc"]["value"])
    names = [row["name"] for row in found["Table 1c"]["rows"]]
    assert names == ["SIPaKMeD → SIPaKMeD", "SIPaKMeD → CRIC", "CRIC → CRIC", "CRIC → SIPaKMeD"]
    within, across, *_ = (row["ours"] for row in found["Table 1c"]["rows"])
    assert within[1] is None and across[1]["method"].startswith("paired")
    assert 0 < within[0]["value"] < across[0]["value"] == there["distance"]["value"]
    own, other = (
        json.loads(finished.row(name).metrics.read_text())["binary"]["metrics"]["balanced_accuracy"]["value"]
        for name in ("cric_crops", "sipakmed-on-cric_crops")
    )
    assert across[1]["value"] == pytest.approx(100 * (own - other))
    assert [row["name"] for row in found["Table 1d"]["rows"]] == ["SIPaKMeD → CRIC", "CRIC → SIPaKMeD"]
    assert all("synthetic" in each["note"].lower() for each in found.values())


def test_the_report_shows_matrix_and_distance(finished):
    names = [each["name"] for each in json.loads(finished.paper_figures.read_text())]
    assert names == ["Matrix 1", "Distance 1"]
    page = finished.report.read_text()
    assert "SYNTHETIC" in page and "distance of the domains" in page


def test_a_row_whose_result_is_lost_is_tested_again_and_not_trained_again(finished):
    row = finished.row("cric_crops")
    before = {path: path.read_bytes() for path in (row.metrics, row.predictions, finished.tables)}
    weights = row.best_weights.stat().st_mtime_ns
    row.metrics.unlink()
    run(finished.root.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert row.best_weights.stat().st_mtime_ns == weights


def test_the_list_says_how_far_the_rows_are(finished, tmp_path, capsys):
    run(finished.root.parents[1], "--list")
    assert capsys.readouterr().out.count("finished") == 4
    run(tmp_path, "--list", "--only", "cric_crops")
    listed = capsys.readouterr().out
    assert listed.count("not begun") == 1 and "cric_crops" in listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "herlev"), "--only herlev: no such row; choose from sipakmed, sipakmed-reinhard"),
        (("--synthetic-cells", "0"), "--data.root is missing"),
        (("--main", "herlev"), "--main herlev: is not among --data-sets"),
    ],
)
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_predictions_are_probabilities_of_two_classes(finished):
    said = predictions.read(finished.row("cric_crops-reinhard-on-sipakmed").predictions)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, atol=1e-6)
