"""The whole study, small, with a plain network in the backbones' place, which would take most of the time to trace."""

import json

import numpy as np
import pandas as pd
import pytest

from cervix_tf.data import manifest
from cervix_tf.metrics import embeddings, predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.label_efficiency import __main__ as study
from tests import options

SMALL = [
    *("--preset", "demo", "--synthetic-cells", "36", "--images.size", "24", "--images.batch-size", "16"),
    *("--optimizer.epochs", "1", "--shares", "30", "100", "--draws", "0", "1", "--regularization", "0.01", "1"),
    *("--weights", __file__),  # a file that is there; the plain network loads none
]
ROWS = [
    *("sipakmed-random-0", "sipakmed-random-1", "sipakmed-imagenet"),
    *("sipakmed-simclr-0", "sipakmed-simclr-1", "sipakmed-federated-0", "sipakmed-federated-1"),
]


def run(out, *arguments):
    main(study.STUDY, options.replacing([*SMALL, "--out", out], arguments))


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out)
    return RunDir(out / "label_efficiency" / "demo")


def said(finished, row, probe, share, draw):
    return predictions.read(finished.row(row).row(f"{probe}-{share}-{draw}").predictions)


def tables(finished):
    return {each["number"]: each for each in json.loads(finished.tables.read_text())}


def test_every_initialization_is_tested_on_the_same_images_with_every_share_and_draw(finished):
    tested = [
        said(finished, row, probe, share, draw).table["id"].tolist()
        for row in ROWS
        for draw in ([int(row[-1])] if row[-1].isdigit() else [0, 1])
        for probe in ("linear", "knn")
        for share in (30, 100)
    ]
    assert len(tested) == 8 * 4 and all(each == tested[0] for each in tested)
    rows = manifest.read(finished.manifest).rows
    assert sorted(tested[0]) == sorted(rows[rows["split"] == "test"]["path"])


def test_no_group_is_tested_and_learned_from(finished):
    rows = manifest.read(finished.manifest).rows
    groups = {part: set(some["group"]) for part, some in rows.groupby("split")}
    assert set(groups) == {"train", "test"} and not groups["train"] & groups["test"]


def test_a_cell_is_the_mean_accuracy_over_the_draws_and_a_difference_that_of_two_cells(finished):
    found = tables(finished)
    assert list(found) == ["Data", "Table 1a", "Table 1b", "Table 1c", "Table 1d"]
    assert "linear evaluation" in found["Table 1a"]["title"] and "kNN" in found["Table 1b"]["title"]
    for number, probe in (("Table 1a", "linear"), ("Table 1b", "knn")):
        for at, share in enumerate((30, 100)):
            several = [said(finished, f"sipakmed-simclr-{draw}", probe, share, draw) for draw in (0, 1)]
            right = np.mean([(each.labels == each.decisions).mean() for each in several])
            simclr = next(row for row in found[number]["rows"] if row["name"] == "SimCLR")
            assert simclr["ours"][at]["value"] == pytest.approx(100 * right)
    value = {row["name"]: row["ours"][0]["value"] for row in found["Table 1a"]["rows"]}
    apart = {row["name"]: row["ours"][0] for row in found["Table 1c"]["rows"]}
    assert list(value) == ["Random", "ImageNet", "SimCLR", "Federated SimCLR"] and len(apart) == 6
    cell = apart["Federated SimCLR over ImageNet"]
    assert cell["value"] == pytest.approx(value["Federated SimCLR"] - value["ImageNet"])
    assert cell["method"].startswith("paired by image and seed")
    assert all("synthetic" in each["note"].lower() for each in found.values())


def test_the_networks_differ_and_imagenet_features_are_made_once_for_all_draws(finished):
    features = {row: embeddings.read(finished.row(row).embeddings).values for row in ROWS}
    for at, row in enumerate(ROWS):
        for other in ROWS[at + 1 :]:
            assert not np.allclose(features[row], features[other]), (row, other)
    assert [each.name for each in sorted(finished.root.glob("rows/*imagenet*"))] == ["sipakmed-imagenet"]


def test_a_federation_has_two_sites_with_all_images_that_are_learned_from(finished):
    told = pd.read_csv(finished.row("sipakmed-federated-0").federation)
    assert sorted(told["client"]) == ["client-1", "client-2"] and (told["event"] == "trained").all()
    rows = manifest.read(finished.manifest).rows
    assert told["examples"].sum() == (rows["split"] == "train").sum()


def test_the_report_shows_a_figure_of_each_probe(finished):
    drawn = json.loads(finished.paper_figures.read_text())
    assert [each["name"] for each in drawn] == ["Curves 1 linear", "Curves 1 knn"]
    assert all(name in drawn[0]["alt"] for name in ("Random: ", "ImageNet: ", "SimCLR: ", "Federated SimCLR: "))
    assert "share of labels" in finished.report.read_text()


def test_lost_predictions_are_made_again_from_kept_features_without_training(finished):
    row = finished.row("sipakmed-simclr-1")
    lost = row.row("linear-30-1").predictions
    before = {path: path.read_bytes() for path in (lost, finished.tables)}
    made = {path: path.stat().st_mtime_ns for path in (row.best_weights, row.embeddings)}
    lost.unlink()
    run(finished.root.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_the_list_says_how_far_the_rows_are_and_what_they_cost(finished, tmp_path, capsys):
    run(finished.root.parents[1], "--list")
    assert capsys.readouterr().out.count("finished") == len(ROWS)
    main(study.STUDY, ["--out", str(tmp_path), "--list", "--weights", __file__])
    listed = capsys.readouterr().out
    assert listed.count("not begun") == 20
    assert listed.count("about 4.6 min") == 6 and listed.count("about 1 min, no training") == 6


def test_an_initialization_without_all_its_draws_has_no_numbers_yet(finished, tmp_path_factory):
    out = tmp_path_factory.mktemp("some")
    run(out, "--only", "sipakmed-random-0", "sipakmed-imagenet")
    found = tables(RunDir(out / "label_efficiency" / "demo"))
    ours = {row["name"]: row["ours"] for row in found["Table 1a"]["rows"]}
    assert ours["Random"] is None and ours["SimCLR"] is None
    assert ours["ImageNet"] == tables(finished)["Table 1a"]["rows"][1]["ours"]
    assert all(row["ours"] is None for row in found["Table 1c"]["rows"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "sipakmed-imagenet-0"), "--only sipakmed-imagenet-0: no such row; choose from sipakmed-random-0"),
        (("--synthetic-cells", "0"), "--data.root is missing"),
        (("--shares", "100", "5"), "must rise"),
    ],
)
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
