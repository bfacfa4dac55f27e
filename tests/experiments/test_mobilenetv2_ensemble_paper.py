"""The preset paper on a tiny copy in the original layout, with the traps of a real one; networks of one convolution."""

import json
from pathlib import Path

import keras
import pandas as pd
import pytest

from cervix_tf.data import importers
from cervix_tf.data.synthetic import visits
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from cervix_tf.study import training as study_training
from experiments.mobilenetv2_ensemble import config, data, model, training
from experiments.mobilenetv2_ensemble.__main__ import STUDY
from tests import options

NETWORKS = ("--weights", *(f"--baselines.{name.replace('_', '-')}" for name in config.BASELINES))
SMALL = [
    *("--preset", "paper", "--images.height", "48", "--images.width", "64", "--images.batch-size", "8"),
    *("--baselines.images.height", "48", "--baselines.images.width", "64", "--baselines.images.batch-size", "8"),
    *("--network.acetic-maps", "4", "--network.green-maps", "8", "--network.iodine-maps", "4"),
    *("--fusion.expansion", "1", "--timed-passes", "1", "--imbalance.longer", "1", "--end-to-end.batch-size", "8"),
    *(word for row in (*config.KINDS, "ensemble", "all-types", "fine-tuning", "end-to-end", "baselines.optimizer")
      for word in (f"--{row}.epochs", "1")),
    *("--data.train-folder", "Training set", "--data.test-folder", "held-out"),
    *("--data.labels", "healthy cervix", "normal", "grade one", "cin1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """32 visits; odd names of folders, and one visit whose green lens image sorts first and the first image sixth."""
    root = tmp_path_factory.mktemp("copy") / "cervigrams"
    visits.write(root, visits=32, seed=0, height=48, width=64)
    for split, name in (("train", "Training set"), ("test", "held-out")):
        (root / split).rename(root / name)
        (root / name / "0").rename(root / name / "healthy cervix")
        (root / name / "1").rename(root / name / "grade one")
        (root / name / "2").rename(root / name / "CIN2-3")
        (root / name / "3").rename(root / name / "Cancer")
    visit = next((root / "held-out" / "Cancer").iterdir())
    first, sixth = (visit / f"{visit.name}_{at}.jpg" for at in (1, 6))
    first.rename(visit / "swap")
    sixth.rename(first)
    (visit / "swap").rename(sixth)
    table = root / "views.csv"
    where = visit.relative_to(root).as_posix()
    table.write_text(f"visit,file,view\n{where},{first.name},green\n{where},{sixth.name},acetic_1\n")
    return root, table, where


@pytest.fixture
def one_convolution(monkeypatch):
    def trunk(config, kind):
        pixels = keras.Input((config.images.height, config.images.width, 3))
        x = keras.layers.Conv2D(getattr(config.network, f"{kind}_maps"), 8, strides=8)(
            keras.layers.Rescaling(1 / 127.5, -1)(pixels)
        )
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        return keras.Model(pixels, keras.layers.ReLU(name="last_relu")(x), name=kind)

    def classifier(config, name):
        features = trunk(config, name if name in config_kinds else "acetic")
        x = keras.layers.GlobalAveragePooling2D()(features.output)
        return keras.Model(features.input, keras.layers.Dense(4, name="logits")(x), name=f"{name}_network")

    config_kinds = config.KINDS
    monkeypatch.setattr(model, "trunk", trunk)
    monkeypatch.setattr(model, "single_view", classifier)
    monkeypatch.setattr(model, "baseline", classifier)
    training._REUSABLE.clear()
    yield
    training._REUSABLE.clear()


def arguments(copy, out, *more):
    root, table, _ = copy
    return options.replacing([*SMALL, "--data.root", root, "--data.overrides", table, "--out", out], more)


RANDOM = [word for option in NETWORKS for word in (option, "random")]


def test_a_visit_whose_files_sort_otherwise_is_suspected_until_its_views_are_told(copy):
    root, table, where = copy
    labels = {"healthy cervix": "normal", "grade one": "cin1"}
    assert data.misordered(importers.load("cervigram_visits", root, importers.Options(labels=labels)).manifest) == [
        where
    ]
    swapped = importers.Options(labels=labels, overrides=table)
    assert data.misordered(importers.load("cervigram_visits", root, swapped).manifest) == []


EVERY = ("--tables", *map(str, config.TABLES))


def test_it_stops_before_the_first_training_with_every_network_whose_weights_are_missing(copy, tmp_path, capsys):
    there = [word for option in NETWORKS if "res" not in option for word in (option, "random")]
    with pytest.raises(SystemExit) as ended:
        main(STUDY, arguments(copy, tmp_path, *there, *EVERY))
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.removeprefix("error: ").splitlines()
    assert first.startswith("--baselines.resnet18 imagenet: Keras has none for resnet18; give a weights file")
    assert second.startswith("--baselines.resnext101-32x8d imagenet: Keras has none for resnext101_32x8d")
    assert first.endswith("(needed by resnet18, resnet18-balanced, resnet18-weighted)")
    assert not RunDir(tmp_path / "mobilenetv2_ensemble" / "paper").rows


def test_folders_that_are_not_named_are_no_reason_for_a_random_split(copy, tmp_path, capsys):
    named = arguments(copy, tmp_path, *RANDOM)
    at = named.index("--data.train-folder")
    with pytest.raises(SystemExit):
        main(STUDY, [*named[:at], *named[at + 4 :]])
    said = capsys.readouterr().err
    assert "--data.train-folder and --data.test-folder" in said and "--protocol leak_free" in said


def test_a_visit_in_a_folder_that_is_neither_is_named(copy, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(STUDY, arguments(copy, tmp_path, *RANDOM, "--data.train-folder", "Training set/CIN2-3"))
    said = capsys.readouterr().err
    assert "Training set/" in said and "in no split" in said


@pytest.mark.whole_paper
def test_it_runs_through_every_table_and_a_row_that_fails_leaves_the_others(
    copy, tmp_path, one_convolution, monkeypatch, capsys
):
    original = study_training.train

    def train(*given, out, **options):
        if out.root.name == "vgg19":
            raise InputError("the loss is nan in epoch 1")
        return original(*given, out=out, **options)

    monkeypatch.setattr(study_training, "train", train)
    command = arguments(copy, tmp_path, *RANDOM, *EVERY)
    with pytest.raises(SystemExit) as ended:
        main(STUDY, command)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error", "row"))]  # no progress
    assert ended.value.code == 2
    assert said == [f"{start}the loss is nan in epoch 1" for start in ("error: row vgg19: ", "row vgg19-balanced: ")]
    out = RunDir(tmp_path / "mobilenetv2_ensemble" / "paper")
    assert rows_without_numbers(out) == {"vgg19", "vgg19-balanced"}
    assert out.report.exists() and out.tflite().exists()

    monkeypatch.setattr(study_training, "train", original)
    main(STUDY, command)
    assert rows_without_numbers(out) == set()
    tables = {table["number"]: table for table in json.loads(out.tables.read_text())}
    assert set(config.TABLES) <= set(tables)
    assert "protocol as_published; not the paper's test set" in tables[6]["note"]
    told = {"1": "green", "6": "acetic_1"} | {str(at): config.VIEWS[at - 1] for at in (2, 3, 4, 5, 7)}
    assert dict(views_of(out, copy[2])) == told


def rows_without_numbers(out):
    """The rows of the paper's tables whose line has no number of ours."""
    tables = json.loads(out.tables.read_text())
    return {
        row["row"] for table in tables if table["number"] in config.TABLES for row in table["rows"] if not row["ours"]
    }


def views_of(out, visit):
    manifest = pd.read_csv(out.manifest, dtype=str)
    for path, view in manifest[manifest["case"] == visit][["path", "view"]].itertuples(index=False):
        yield Path(path).stem.rpartition("_")[2], view
