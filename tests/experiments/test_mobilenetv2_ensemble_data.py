"""Which images of a visit go into which split; no image is read."""

import dataclasses

import pandas as pd
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
    said = "used only by networks of single views and by ensemble-any-views: 2 cases: no iodine image"
    assert said in capsys.readouterr().out
    kept = study_data.keep_manifest(fold.splits, RunDir(tmp_path)).rows
    assert set(kept[kept["case"] == "case 12"]["split"]) == {""}
    assert "case 12" not in set(fold.inputs("test", "acetic").rows["case"]) and len(kept) == 24 * 7 - 2


def test_images_that_name_no_case_are_counted(tmp_path, capsys):
    source = visits(tmp_path)
    data.folds_of(source, LEAK_FREE, RunDir(tmp_path))
    assert "name no case" not in capsys.readouterr().out
    alone = source.rows["path"].str.startswith(("1_", "2_"))
    data.folds_of(
        dataclasses.replace(source, rows=source.rows.assign(case=source.rows["case"].mask(alone, ""))),
        LEAK_FREE,
        RunDir(tmp_path),
    )
    assert "used only by networks of single views, for want of a case: 14 images" in capsys.readouterr().out


@pytest.mark.parametrize("settings", [LEAK_FREE, AS_PUBLISHED])
def test_a_network_of_any_views_is_trained_chosen_and_tested_on_cases_that_lack_some_too(tmp_path, settings):
    (fold,) = data.folds_of(visits(tmp_path, lacking=(12, 0, 4, 8, 16)), settings, RunDir(tmp_path))
    found = {split: fold.inputs(split, config.ANY_VIEWS) for split in ("train", "validation", "test")}
    of_split = {split: set(each.rows["id"]) for split, each in found.items()}
    assert of_split["test"] == {f"case {visit}" for visit in range(12, 16)}
    assert set().union(*of_split.values()) == {f"case {visit}" for visit in range(24)}
    assert not of_split["train"] & (of_split["test"] | of_split["validation"])
    assert (of_split["validation"] == of_split["test"]) == (settings == AS_PUBLISHED)
    files = {case: files for each in found.values() for case, files in zip(each.rows["id"], each.files, strict=True)}
    assert {case for case, each in files.items() if "" in each} == {f"case {visit}" for visit in (0, 4, 8, 12, 16)}


def test_a_prescribed_validation_split_is_used_leak_free_and_refused_as_published(tmp_path):
    three = visits(tmp_path, splits=("train", "validation", "test"))
    (fold,) = data.folds_of(three, LEAK_FREE, RunDir(tmp_path))
    assert set(fold.inputs("validation", "green").rows["case"]) == set(three.part("validation").rows["case"])
    with pytest.raises(InputError, match=r"validation; give exactly the names \(train, test\), or"):
        data.folds_of(three, AS_PUBLISHED, RunDir(tmp_path))


@pytest.mark.parametrize("settings", [LEAK_FREE, AS_PUBLISHED, dataclasses.replace(LEAK_FREE, folds=3)])
def test_splits_that_have_copies_of_one_file_are_warned_of(tmp_path, settings, capsys):
    source = visits(tmp_path, splits=("",) if settings.folds > 1 else ("train", "train", "train", "test"))
    data.folds_of(source, settings, RunDir(tmp_path))
    assert capsys.readouterr().err == ""
    same = dataclasses.replace(source, rows=source.rows.assign(sha256="a" * 64))
    folds = data.folds_of(same, settings, RunDir(tmp_path))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == sum(len([name for name in fold.splits if name]) - 1 for fold in folds)
    assert all(f"warning: fold {at}: " in "\n".join(said) for at in range(settings.folds) if settings.folds > 1)
    assert "28 images of test have the same bytes" in said[0] or settings.folds > 1


def test_a_class_of_which_no_image_is_for_training_is_refused(tmp_path):
    source = visits(tmp_path)
    alone = source.where((source.rows["label"] != config.CLASSES[3]) | (source.rows["split"] == "test"))
    with pytest.raises(InputError, match=f"^split train .* has no {config.CLASSES[3]}; "):
        data.folds_of(alone, LEAK_FREE, RunDir(tmp_path))


def test_as_published_without_the_sources_split_is_refused_and_leak_free_draws_one(tmp_path):
    none = visits(tmp_path, splits=("",))
    with pytest.raises(InputError, match=r"--data\.train-folder and --data\.test-folder, or .* --protocol leak_free"):
        data.folds_of(none, AS_PUBLISHED, RunDir(tmp_path))
    (fold,) = data.folds_of(none, LEAK_FREE, RunDir(tmp_path))
    assert len(fold.splits["test"])
    some = visits(tmp_path, splits=("train", "test", ""))
    with pytest.raises(InputError, match=r"8_acetic_1\.jpg and others are in no split"):
        data.folds_of(some, AS_PUBLISHED, RunDir(tmp_path))


def test_the_papers_own_test_set_is_known_by_its_counts():
    def split(**counts):
        return pd.DataFrame({"split": [name for name, count in counts.items() for _ in range(count)]})

    whole = split(train=3003, test=336)
    assert data.is_paper_test_set(AS_PUBLISHED, whole)
    assert data.is_paper_test_set(LEAK_FREE, split(train=2555, validation=448, test=336))
    assert not data.is_paper_test_set(AS_PUBLISHED, split(train=2671, test=668))
    for other in ({"layout": "iarc_colposcopy"}, {"synthetic_visits": 477}, {"folds": 5}):
        assert not data.is_paper_test_set(dataclasses.replace(AS_PUBLISHED, **other), whole)
