"""Which images of a visit go into which split; no image is read."""

import dataclasses

import pytest

from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data as study_data
from experiments.mobilenetv2_ensemble import config, data

LEAK_FREE = dataclasses.replace(config.DEMO, synthetic_visits=0)
AS_PUBLISHED = dataclasses.replace(LEAK_FREE, protocol="as_published")


def visits(tmp_path, splits=("train", "train", "train", "test"), lacking=()):
    """24 visits of seven images, split as the source says; those in `lacking` have no iodine image."""
    return manifest.from_records(
        [
            {
                "path": f"{visit}_{view}.jpg",
                "label": config.CLASSES[visit % 4],
                "case": f"case {visit}",
                "view": view,
                "split": splits[visit // 4 % len(splits)],
            }
            for visit in range(24)
            for view in config.VIEWS
            if not (visit in lacking and view == "iodine")
        ],
        tmp_path,
    )


def test_as_published_chooses_the_checkpoint_on_the_test_split_and_leak_free_on_part_of_train(tmp_path):
    (published,) = data.folds_of(visits(tmp_path), AS_PUBLISHED, RunDir(tmp_path))
    (free,) = data.folds_of(visits(tmp_path), LEAK_FREE, RunDir(tmp_path))
    tested = set(published.inputs("test", config.CASES).rows["id"])
    assert set(published.inputs("validation", config.CASES).rows["id"]) == tested
    assert "validation" not in published.splits  # so that no threshold is chosen on the test split
    assert set(free.inputs("test", config.CASES).rows["id"]) == tested
    chosen, train = (set(free.inputs(split, "acetic").rows["case"]) for split in ("validation", "train"))
    assert chosen and not chosen & (tested | train)
    assert set(published.inputs("train", "acetic").rows["case"]) == chosen | train


def test_a_test_case_that_lacks_a_view_is_not_tested_and_stands_in_the_manifest_without_a_split(tmp_path, capsys):
    (fold,) = data.folds_of(visits(tmp_path, lacking=(12, 0)), LEAK_FREE, RunDir(tmp_path))
    assert "2 cases train single views only and are never tested: no iodine image" in capsys.readouterr().out
    kept = study_data.keep_manifest(fold.splits, RunDir(tmp_path)).rows
    assert set(kept[kept["case"] == "case 12"]["split"]) == {""}
    assert "case 12" not in set(fold.inputs("test", "acetic").rows["case"]) and len(kept) == 24 * 7 - 2


def test_a_prescribed_validation_split_is_used_leak_free_and_refused_as_published(tmp_path):
    three = visits(tmp_path, splits=("train", "validation", "test"))
    (fold,) = data.folds_of(three, LEAK_FREE, RunDir(tmp_path))
    assert set(fold.inputs("validation", "green").rows["case"]) == set(three.part("validation").rows["case"])
    with pytest.raises(InputError, match="validation; give train, test, or leave it empty"):
        data.folds_of(three, AS_PUBLISHED, RunDir(tmp_path))
