"""The preset paper, small, on a generated copy of Kaggle's download: through every table."""

import json
import shutil

import pandas as pd
import pytest

from cervix_tf.data.synthetic import cervix_types
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.resnet50_types import __main__ as study

SMALL = [
    *("--preset", "paper", "--weights", "random"),
    *("--images.size", "32", "--images.batch-size", "20", "--optimizer.epochs", "5"),
]


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    """The download with folders spelled another way, a broken file that is known, and images of both test stages."""
    drawn = tmp_path_factory.mktemp("kaggle") / "drawn"
    cervix_types.write(drawn, women=48, seed=3, side=48)
    root = drawn.with_name("Intel MobileODT 2017")
    for number in (1, 2, 3):
        name = f"Type_{number}"
        shutil.move(drawn / "train" / "train" / name, root / "Train" / "train" / name.upper())
        shutil.move(drawn / f"additional_{name}_v2" / name, root / "Additional" / name)
    for table in ("fixed_labels_v2.csv", "removed_files.csv"):
        shutil.move(drawn / table, root / table)
    some = next(root.rglob("*.jpg")).read_bytes()
    (root / "Train" / "train" / "TYPE_1" / "1339.jpg").write_bytes(some[:200])
    for folder in ("test", "test_stg2"):
        (root / folder).mkdir()
        (root / folder / "0.jpg").write_bytes(some)
    (root / "solution_stg1_release.csv").write_text("image_name,Type_1,Type_2,Type_3\n0.jpg,0,1,0\n")
    return root


@pytest.fixture(scope="module")
def finished(kaggle, plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    main(study.STUDY, [*SMALL, "--data.root", str(kaggle), "--tables", "1", "2", "--out", str(out)])
    return RunDir(out / "resnet50_types" / "paper")


def test_the_papers_preset_runs_through_both_tables_and_the_leak(finished):
    found = {table["number"]: table for table in json.loads(finished.tables.read_text())}
    assert list(found) == [1, 2, "Leak"]
    assert all(row["ours"] is not None for table in found.values() for row in table["rows"])
    assert finished.tflite().exists() and finished.report.exists()


def test_the_images_are_train_and_additional_without_the_broken_one(finished, kaggle):
    paths = set(pd.read_csv(finished.manifest)["path"])
    assert len(paths) == len(list(kaggle.rglob("*/*/*.jpg"))) - 1
    assert {path.split("/")[0] for path in paths} == {"Train", "Additional"}


def test_training_goes_on_after_the_published_epoch_which_is_kept_all_the_same(finished):
    history = pd.read_csv(finished.row("as_published").history)
    assert list(history["published_epoch"]) == [0, 0, 0, 1, 0]
    figures = {each["name"]: each for each in json.loads(finished.paper_figures.read_text())}
    assert "kept (4)" in json.dumps(figures["Fig. 4 as_published"])
    assert "published_epoch" not in pd.read_csv(finished.row("leak_free").history)


def test_a_published_epoch_that_is_not_trained_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(study.STUDY, [*SMALL, "--published-epoch", "6", "--data.root", str(tmp_path), "--out", str(tmp_path)])
    assert "--published-epoch 6: must be at most --optimizer.epochs 5, or 0" in capsys.readouterr().err
