"""The whole study, tiny: one N, 40 synthetic women a site, every initialization; a plain network."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cervix_tf.data import images, manifest
from cervix_tf.data.synthetic import textures
from cervix_tf.errors import InputError
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, main
from experiments.federated_ssl import __main__ as study
from experiments.federated_ssl import config, data, tables
from experiments.federated_ssl.config import PAPER, Row
from tests import options

TINY = [
    *("--preset", "demo", "--synthetic-women", "40", "--synthetic-labeled", "12"),
    *("--images.height", "32", "--images.width", "32", "--batch-sizes", "8", "--local-epochs", "1"),
    *("--ssl.epochs", "1", "--federation.rounds", "1", "--fine-tuning.epochs", "1"),
]
SEVEN = ["random", "imagenet", "ssl-8", "cssl-8", "csfssl", "ppfssl-alts", "ppfssl-nhs"]


def run(out, *arguments):
    words = options.replacing([*TINY, "--out", out], arguments)
    main(study.STUDY, words)


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out, "--tables", "1", "2")
    return RunDir(out / "federated_ssl" / "demo")


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        finished.manifest,
        finished.predictions,
        finished.metrics,
        finished.tables,
        finished.contract,
        finished.saved_model / "saved_model.pb",
        finished.tflite(),
        finished.model_card,
        finished.paper_figures,
        finished.report,
        finished.row("csfssl-pretraining").federation,
    ):
        assert path.exists(), path
    assert "SYNTHETIC" in finished.report.read_text()


def test_table_2_has_all_seven_initializations_of_both_sites(finished):
    found = json.loads(finished.tables.read_text())
    assert [table["number"] for table in found] == [1, "Table 2, ALTS", "Table 2, NHS", "Abstract", "Extra"]
    for table in found[1:3]:
        site = table["number"][-4:].strip(" ,").lower()
        assert [row["row"] for row in table["rows"]] == [f"{name}-{site}" for name in SEVEN]
        assert table["columns"] == ["ACC", "Recall", "Precision", "F1", "AUC"]
        for row in table["rows"]:
            metrics = json.loads(finished.row(row["row"]).metrics.read_text())["binary"]["metrics"]
            assert row["ours"][4]["value"] == pytest.approx(100 * metrics["auc"]["value"])
            assert row["ours"][0]["method"] and row["ours"][0]["n"] == metrics["accuracy"]["n"]


def test_every_initialization_is_compared_with_random_first_weights_woman_by_woman(finished):
    *_, table = json.loads(finished.tables.read_text())
    areas = {}
    for name in SEVEN:
        metrics = [json.loads(finished.row(f"{name}-{site}").metrics.read_text()) for site in ("alts", "nhs")]
        areas[name] = [each["binary"]["metrics"]["auc"]["value"] for each in metrics]
    assert len(table["rows"]) == len(SEVEN) - 1
    for name, row in zip(SEVEN[1:], table["rows"], strict=True):
        expected = 100 * np.subtract(areas[name], areas["random"])
        np.testing.assert_allclose([cell["value"] for cell in row["ours"]], expected, atol=1e-9)
        assert all(cell["low"] <= cell["value"] <= cell["high"] for cell in row["ours"])


def test_table_1_counts_women_and_images_of_the_manifest(finished):
    table = json.loads(finished.tables.read_text())[0]
    ours = {row["name"]: [cell["value"] for cell in row["ours"]] for row in table["rows"]}
    there = manifest.read(finished.manifest).rows
    for at, site in enumerate(("alts", "nhs")):
        here = there[(there["site"] == site) & (there["split"] == "train")]
        assert ours["train: all images"][at] == len(here) == 40
        cases = here[here["label"] == "case"]
        assert ours["train, case: labeled images"][at] == len(cases) == 2 * cases["group"].nunique()
        assert ours["train, case: patients"][at] == cases["group"].nunique()


def test_pre_training_changes_what_the_classifier_starts_from_and_a_finished_row_is_not_run_again(finished, capsys):
    said = {name: predictions.read(finished.row(f"{name}-nhs").predictions).probabilities for name in SEVEN}
    for name in SEVEN[1:]:
        assert not np.array_equal(said[name], said["random"]), name
    assert not np.array_equal(said["ppfssl-alts"], said["ppfssl-nhs"])
    written = [finished.row("csfssl-pretraining").history, finished.row("csfssl-nhs").metrics, finished.model]
    before = [path.stat().st_mtime_ns for path in written]
    run(finished.root.parents[1], "--tables", "1", "2")
    assert [path.stat().st_mtime_ns for path in written] == before
    capsys.readouterr()
    run(finished.root.parents[1], "--tables", "2", "--list")
    assert capsys.readouterr().out.count("finished") == 7


def test_a_command_for_fewer_rows_leaves_the_best_row_deployed_and_all_finished_rows_in_the_tables(finished, tmp_path):
    shutil.copytree(finished.root.parents[1], tmp_path, dirs_exist_ok=True)
    out = RunDir(tmp_path / "federated_ssl" / "demo")
    kept = (out.model, out.contract, out.predictions, out.metrics, out.exports)
    before = [path.read_bytes() for path in kept]
    for asked in (("--only", "random"), ("--only", "ssl-8"), ("--tables", "1")):
        run(tmp_path, *asked)
        assert [path.read_bytes() for path in kept] == before
        of_table_2 = [each for each in json.loads(out.tables.read_text()) if each["number"] == "Table 2, NHS"]
        assert [row["row"] for row in of_table_2[0]["rows"]] == [f"{name}-nhs" for name in SEVEN]


def test_rows_that_are_not_begun_are_listed_with_what_they_train(tmp_path, capsys):
    main(study.STUDY, ["--preset", "demo", "--out", str(tmp_path), "--tables", "2", "--list"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "not begun" in line}
    assert [lines[row].split("begun")[1].strip() for row in ("random", "ssl-8", "cssl-8", "csfssl", "csfssl-e6")] == [
        "2 x 12 epochs",
        "2 x 6 + 2 x 12 epochs",
        "6 + 2 x 12 epochs",
        "6 rounds of 1 epoch + 2 x 12 epochs",
        "1 round of 6 epochs + 2 x 12 epochs",
    ]


def test_the_federation_saw_every_site_and_counted_its_bytes(finished):
    told = pd.read_csv(finished.row("csfssl-pretraining").federation)
    assert sorted(told["client"]) == ["alts", "nhs"] and (told["event"] == "trained").all()
    assert told["bytes_sent"].nunique() == 1 and (told["bytes_sent"] == told["bytes_received"]).all()
    ring = pd.read_csv(finished.row("ppfssl-nhs-pretraining").federation)
    assert list(ring["client"]) == ["nhs", "alts"]


def test_the_exported_model_says_what_the_best_classifier_said(finished):
    best = predictions.read(finished.predictions)
    ids = list(best.table["id"][:4])
    root = manifest.read(finished.manifest, finished.root / "data").root
    loaded = runtime.load(finished.tflite())
    for id, expected in zip(ids, best.probabilities[:4], strict=True):
        said = loaded.run(images.decode_file(str(root / id))[None])[0]
        np.testing.assert_allclose(said, expected, atol=2e-3)


def test_the_papers_preset_has_the_papers_numbers():
    assert (PAPER.ssl.epochs, PAPER.ssl.learning_rate, PAPER.ssl.momentum, PAPER.ssl.weight_decay) == (
        50, 0.01, 0.9, 1e-5,
    )  # fmt: skip
    tuning = PAPER.fine_tuning
    assert (tuning.epochs, tuning.learning_rate, tuning.momentum, tuning.weight_decay) == (50, 0.001, 0.09, 1e-6)
    assert (PAPER.network, PAPER.temperature, PAPER.projection, PAPER.batch_sizes) == ("resnet50", 0.1, 64, (8, 16, 32))
    assert (PAPER.fine_tuning_batch, PAPER.patience, PAPER.federated_batch_size) == (4, 5, 8)
    names = [row.name for row in config.every(PAPER, ("nhs", "alts"))]
    assert names == [*tables.PUBLISHED.table_2, "csfssl-e5", "csfssl-e10"]


def test_table_2_of_the_paper_fits_its_counts():
    for row, numbers in tables.PUBLISHED.table_2.items():
        for site, (accuracy, recall, precision, f1) in {"nhs": numbers[:4], "alts": numbers[4:]}.items():
            cases, controls = tables.PUBLISHED.tested[site]
            hits = round(recall * cases / 100)
            called = round(hits / precision * 100)
            right = hits + controls - (called - hits)
            assert 100 * hits / cases == pytest.approx(recall, abs=0.006), (row, site)
            assert 100 * right / (cases + controls) == pytest.approx(accuracy, abs=0.006), (row, site)
            assert 200 * hits / (cases + called) == pytest.approx(f1, abs=0.02), (row, site)


def test_unknown_rows_and_missing_data_end_in_one_line(tmp_path, capsys):
    with pytest.raises(InputError, match="--only x: no such row; choose from random, imagenet, ssl-8"):
        config.wanted(PAPER, ("nhs", "alts"), RunRequest(only=("x",)))
    with pytest.raises(SystemExit) as ended:
        main(study.STUDY, ["--out", str(tmp_path)])
    assert ended.value.code == 2 and "--data.root is missing" in capsys.readouterr().err


def test_without_tables_the_papers_best_row_runs():
    assert config.wanted(PAPER, ("nhs", "alts"), RunRequest()) == [Row("cssl", 8)]
    assert config.wanted(PAPER, ("nhs", "alts"), RunRequest(tables=(1,))) == []


def test_drawn_textures_are_pictures_of_all_kinds_that_a_seed_repeats():
    pictures, labels = textures.drawn(18, (24, 32), seed=0)
    assert pictures.shape == (18, 24, 32, 3) and list(np.bincount(labels)) == [3] * len(textures.KINDS)
    assert all(picture.std() > 5 for picture in pictures)
    assert np.array_equal(pictures, textures.drawn(18, (24, 32), seed=0)[0])


@pytest.fixture
def own_images(finished, tmp_path):
    """A manifest of one institution, its column site empty, in the splits of the finished run."""
    root = json.loads(finished.environment.read_text())["data_root"]
    every = manifest.read(finished.manifest, root)
    here = every.where(every.rows["site"] == "nhs")
    path = tmp_path / "own.csv"
    manifest.write(manifest.Manifest(here.rows.assign(site=""), here.root), path)
    words = ["--synthetic-women", "0", "--data.manifest", str(path), "--data.root", root, "--run", "own"]
    return lambda *more: run(tmp_path, *words, *more)


def test_an_institution_trains_a_classifier_of_its_own_images_alone(own_images, tmp_path):
    own_images("--only", "imagenet")
    out = RunDir(tmp_path / "federated_ssl" / "own")
    assert set(pd.read_csv(out.manifest)["site"]) == {"own"}
    assert out.row("imagenet-own").metrics.exists() and out.tflite().exists()


def test_rows_that_need_two_sites_are_refused_with_one(own_images, capsys):
    with pytest.raises(SystemExit) as ended:
        own_images("--only", "imagenet", "csfssl")
    assert ended.value.code == 2
    assert "own.csv: has images of one site, own, and csfssl needs two" in capsys.readouterr().err


def test_the_splits_that_a_run_drew_for_a_site_without_labels_are_taken_back(finished, tmp_path):
    root = json.loads(finished.environment.read_text())["data_root"]
    every = manifest.read(finished.manifest, root)
    keep = (every.rows["site"] != "alts") | (every.rows["split"] != "test")
    rows = every.where(keep).rows
    rows.loc[rows["site"] == "alts", "label"] = ""
    path = tmp_path / "half.csv"
    manifest.write(manifest.Manifest(rows, every.root), path)
    source = dataclasses.replace(config.PRESETS["demo"].config.data, manifest=path, root=every.root)
    chosen = dataclasses.replace(config.PRESETS["demo"].config, synthetic_women=0, data=source)
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    write_json(out.environment, {})
    read = data.read(chosen, out)
    assert read.rows.set_index("path")["split"].to_dict() == rows.set_index("path")["split"].to_dict()
