"""The ensemble of any views from the command line to an exported model, on a trunk of one convolution."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

import cervix_tf
from cervix_tf import contract, runs
from cervix_tf.data import importers, manifest
from cervix_tf.data.synthetic import visits
from cervix_tf.errors import InputError
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.mobilenetv2_ensemble import model
from experiments.mobilenetv2_ensemble.__main__ import STUDY
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS


def single_view(config, kind):
    pixels = keras.Input((config.images.height, config.images.width, 3))
    x = keras.layers.Conv2D(4, 8, strides=8)(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(name="last_relu")(x))
    return keras.Model(pixels, keras.layers.Dense(4)(x), name=kind)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 40 visits, of which every second lacks the iodine view and every fourth all views but the green one."""
    root = tmp_path_factory.mktemp("any")
    visits.write(root / "visits", visits=40, seed=0, height=48, width=64)
    drawn = importers.load("cervigram_visits", root / "visits").manifest
    number = drawn.rows["case"].map({case: at % 10 for at, case in enumerate(sorted(set(drawn.rows["case"])))})
    lacks = (number % 2 == 0) & (drawn.rows["view"] == "iodine") | (number % 4 == 0) & (drawn.rows["view"] != "green")
    split = number.map(lambda at: ("validation", "train", "train", "test", "test")[at // 2])
    manifest.write(replace(drawn, rows=drawn.rows.assign(split=split)).where(~lacks), root / "manifest.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "single_view", single_view)
        main(STUDY, [
            *("--preset", "demo", "--only", "ensemble", "ensemble-any-views", "--out", str(root / "runs")),
            *("--synthetic-visits", "0", "--data.manifest", str(root / "manifest.csv")),
            *("--data.root", str(root / "visits"), "--images.height", "24", "--images.width", "32"),
            *("--feature-copies", "1", "--ensemble.epochs", "2"),
            *(word for kind in KINDS for word in (f"--{kind}.epochs", "1", f"--network.{kind}-maps", "4")),
        ])  # fmt: skip
    return RunDir(root / "runs" / "mobilenetv2_ensemble" / "demo")


def test_its_table_stands_in_the_report_paired_on_complete_cases(finished):
    (extra,) = (table for table in json.loads(finished.tables.read_text()) if table["number"] == "Extra")
    ours, published = (predictions.read(finished.row(name).predictions) for name in ("ensemble-any-views", "ensemble"))
    counts = [len(ours), len(ours) - len(published), *[len(published)] * 3]
    assert 0 < len(published) < len(ours) and [row["ours"][0]["n"] for row in extra["rows"]] == counts
    assert "works with the views there are" in finished.report.read_text()


def test_it_is_exported_and_says_of_visits_that_lack_views_what_the_run_said(finished):
    row = finished.row("ensemble-any-views")
    made = contract.read(row.contract)
    assert made.missing_views
    cases, expected = runs.tested_inputs(row, runs.manifest(row), made)
    assert {sum(file == "" for file in files) for files in cases.files} == {0, 1, 6} and len(cases) == len(expected)
    for path in (row.saved_model, row.tflite(), row.model):
        np.testing.assert_allclose(runtime.probabilities(runtime.load(path), cases.files), expected, atol=1e-4)


def test_a_folder_of_one_image_is_a_visit_like_black_images_in_place_of_the_others(finished, tmp_path):
    row = finished.row("ensemble-any-views")
    cases, _ = runs.tested_inputs(row, runs.manifest(row), contract.read(row.contract))
    shutil.copy(cases.files[0][5], tmp_path / "green.jpg")
    exported = cervix_tf.load(row.root)
    columns = [f"p_{name}" for name in CLASSES]
    black = np.zeros((48, 64, 3), np.uint8)
    as_arrays = [*[black] * 5, str(tmp_path / "green.jpg"), black]
    answers = [exported.predict(images)[columns].to_numpy() for images in (tmp_path, [as_arrays])]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    (tmp_path / "green.jpg").rename(tmp_path / "1.jpg")
    with pytest.raises(InputError, match="names no view, and the case may lack some; name each file after its view"):
        exported.predict(tmp_path)
