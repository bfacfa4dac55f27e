"""The study's stages: the paper's tables as data, splits, the augmented training set, errors for wrong data."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf.config import Augmentation, Source
from cervix_tf.data import inputs, manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, evaluation
from cervix_tf.study.data import DataDescription
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import data, tables, training
from experiments.cvm_cervix.config import COMPARED, DATA_SOURCES, DEMO, PAPER, PROBE, Config, Row


def images(counts, groups=1, split=""):
    """A manifest of so many images a class, `groups` images a group."""
    records = [
        {"path": f"{label}/{at}.png", "label": label, "group": f"{label} {at // groups}", "split": split}
        for label, count in counts.items()
        for at in range(count)
    ]
    return manifest.from_records(records, ".")


def counts_of(splits, classes):
    return {name: tuple((splits[split].rows["label"] == name).sum() for split in data.SPLITS) for name in classes}


@pytest.mark.parametrize("task", ["combined", "blood", "herlev"])
def test_the_published_split_has_every_count_of_tables_1_4_and_5(task):
    published = dict(tables.SPLIT_TABLES[task])
    if task == "herlev":  # Table 4 counts every training image four times
        published = {name: (train // 4, *rest) for name, (train, *rest) in published.items()}
    everything = images({name: sum(counts) for name, counts in published.items()})
    splits = data.published_split(everything, 0.2, 0.2, seed=0)
    assert counts_of(splits, published) == published
    assert sorted(pd.concat([split.rows["path"] for split in splits.values()])) == sorted(everything.rows["path"])


def test_table_1_has_1763_test_and_1767_validation_images():
    assert [sum(column) for column in zip(*tables.PUBLISHED.table_1.values(), strict=True)] == [5308, 1767, 1763]
    shown = tables.of_counts("combined", tables.PUBLISHED.table_1, "")
    assert shown["number"] == 1
    assert shown["rows"][-1]["paper"] == [5308, 1767, 1763, 8838]


def test_table_4_counts_the_four_copies_of_its_training_set():
    everything = images({"abnormal": 675, "normal": 242})
    splits = data.published_split(everything, 0.2, 0.2, seed=0)
    config = replace(PAPER, task="herlev")
    assert study.main_row(config).four_times
    assert {name: tuple(each) for name, each in tables.counted(config, splits).items()} == tables.PUBLISHED.table_4
    plain = tables.counted(replace(config, main="resnet18"), splits)
    assert plain["normal"] == [584 // 4, 48, 48]


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    everything = images({"a": 30, "b": 21})
    shuffled = replace(everything, rows=everything.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    paths = [
        list(data.published_split(each, 0.2, 0.2, seed)["test"].rows["path"])
        for each, seed in ((everything, 0), (shuffled, 0), (everything, 1))
    ]
    assert paths[0] == paths[1] != paths[2]


def test_cvms_accuracies_are_whole_numbers_of_images_rounded():
    sizes = {"combined": (1767, 1763), "herlev": (183, 183), "blood": (3419, 3415)}
    for task, (_, *splits) in tables.PUBLISHED.performance.items():
        for numbers, n in zip(splits, sizes[task], strict=True):
            assert numbers[-1] == round(100 * round(numbers[-1] * n / 100) / n, 2)


def test_the_22_compared_networks_accuracies_are_whole_numbers_of_images_cut_after_two_decimals():
    """The README says so: CVM's own is rounded."""
    for network in COMPARED:
        cut = [math.floor(10_000 * right / 1763) / 100 for right in range(1764)]
        assert tables.TABLE_3[network][-1] in cut
    rounded = [round(100 * right / 1763, 2) for right in range(1764)]
    assert sum(tables.TABLE_3[network][-1] not in rounded for network in COMPARED) >= 10
    assert tables.TABLE_3["cvm"][-1] not in cut


def test_table_3_has_the_papers_22_networks_and_cvm():
    assert len(COMPARED) == 22 and list(tables.TABLE_3) == [*COMPARED, "cvm"] == list(tables.NAMES)
    rows = study.all_rows(PAPER)
    assert [row.name for row in rows] == ["cvm", *COMPARED, "cvm-x4", "probe"]
    assert {study.epochs(PAPER, row) for row in rows if row != PROBE} == {100}  # sec. 4.7.1: the same for all


def test_a_command_runs_the_main_row_or_all_of_table_3_or_the_rows_that_it_names():
    def names(**request):
        return [row.name for row in study.selected_rows(PAPER, RunRequest(**request))]

    assert names() == names(tables=(1, 4, 5)) == ["cvm"]
    assert names(tables=(3,)) == ["cvm", *COMPARED]
    assert names(tables=(3,), only=("probe", "vgg11")) == ["vgg11", "probe"]
    with pytest.raises(InputError, match="--only resnet18-x4: no such row; choose from cvm, vgg11"):
        names(only=("resnet18-x4",))


def test_leak_free_splits_share_no_group_and_random_ones_do():
    everything = images(dict.fromkeys(DATA_SOURCES["combined"].classes, 60), groups=4)
    config = replace(DEMO, similar=False)
    (free,) = data.split(everything, config)
    assert all(not set(free["test"].rows["group"]) & set(free[name].rows["group"]) for name in ("train", "validation"))
    (published,) = data.split(everything, replace(config, protocol="as_published"))
    assert set(published["test"].rows["group"]) & set(published["train"].rows["group"])


@pytest.mark.parametrize("protocol", ["as_published", "leak_free"])
def test_in_a_cross_validation_every_image_is_tested_once_and_keeps_its_group(protocol):
    everything = images({"abnormal": 80, "normal": 40}, groups=2)
    config = replace(DEMO, task="herlev", protocol=protocol, folds=5)
    folds = data.split(everything, config)
    tested = pd.concat([splits["test"].rows for splits in folds])
    assert sorted(tested["path"]) == sorted(everything.rows["path"])
    assert (tested["group"] != "").all()
    for splits in folds:
        assert sum(map(len, splits.values())) == len(everything)
        assert {name: round(len(split) / len(everything), 1) for name, split in splits.items()} == {
            "train": 0.6,
            "validation": 0.2,
            "test": 0.2,
        }


def prescribed(**named):
    """A manifest whose splits have these names and group suffixes, twelve images each."""
    splits = []
    for name, own in named.items():
        split = images({"abnormal": 6, "normal": 6}, split=name)
        split.rows["path"] = split.rows["path"].str.replace(".png", f"_{name}.png")
        split.rows["group"] += own
        splits.append(split)
    return manifest.joined(splits)


def test_a_prescribed_split_is_kept_and_one_that_leaks_is_refused():
    config, leaking = replace(DEMO, task="herlev"), prescribed(train="", validation="", test="")
    with pytest.raises(InputError, match=r"group 'abnormal 0' is in train"):
        data.split(leaking, config)
    for given, protocol in ((leaking, "as_published"), (prescribed(train="a", validation="b", test="c"), "leak_free")):
        (found,) = data.split(given, replace(config, protocol=protocol))
        assert {name: len(split) for name, split in found.items()} == {"train": 12, "validation": 12, "test": 12}


def test_a_prescribed_split_is_no_cross_validation_and_needs_all_three():
    config = replace(DEMO, task="herlev")
    with pytest.raises(InputError, match="--folds 5: the column split prescribes one split"):
        data.split(prescribed(train="a", validation="b", test="c"), replace(config, folds=5))
    with pytest.raises(InputError, match="names test, train; give train, validation, test, or leave it empty"):
        data.split(prescribed(train="a", test="c"), config)


def test_the_four_copies_are_the_image_its_half_turn_and_its_mirror_images():
    everything = images({"abnormal": 3, "normal": 2})
    given = inputs.from_images(everything, ("abnormal", "normal"))
    copied, augmentations = training.four_times(given, Augmentation())
    assert len(copied) == 20 == len(augmentations)
    np.testing.assert_array_equal(copied.labels, np.tile(given.labels, 4))
    of_first = [augmentations[at] for at in range(20) if copied.files[at] == given.files[0]]
    flips = {(each.horizontal_flip, each.vertical_flip) for each in of_first}
    assert flips == {(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)}  # both flips are a turn by 180 degrees
    _, augmentations = training.four_times(given, Augmentation(horizontal_flip=0.3))
    assert {each.horizontal_flip for each in augmentations} == {0.3, 0.7}


def predicted(right, total, start=0, groups=None):
    """`total` images, the first `right` correctly classified; each its own group unless so many are given."""
    decisions = np.where(np.arange(total) < right, 0, 1)
    names = [f"g{start + at % (groups or total)}" for at in range(total)]
    ids = [f"i{start + at}" for at in range(total)]
    return predictions.from_arrays(ids, np.eye(2)[decisions], ("a", "b"), labels=["a"] * total, groups=names)


def test_a_random_split_that_is_easier_is_a_positive_leak_with_an_interval():
    found = tables.difference(predicted(190, 200), predicted(160, 200, start=200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    standard_error = 100 * np.sqrt(0.95 * 0.05 / 200 + 0.8 * 0.2 / 200)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert "200 and 200 groups" in found["method"] and found["n"] == 400


def test_of_the_same_images_the_leak_is_paired_and_groups_are_drawn_as_a_whole():
    found = tables.difference(predicted(190, 200), predicted(160, 200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    share = 0.15  # of the images that only the random split's network classifies correctly
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 100 * np.sqrt(share * (1 - share) / 200), rel=0.1)
    assert "paired" in found["method"] and found["n"] == 200
    shuffled = predicted(190, 200)
    shuffled = predictions.Predictions(shuffled.table.iloc[::-1].reset_index(drop=True), shuffled.classes)
    assert tables.difference(shuffled, predicted(160, 200), seed=0) == found
    coarse = tables.difference(predicted(190, 200), predicted(160, 200, groups=20), seed=0)
    assert "20 groups" in coarse["method"] and coarse["value"] == found["value"]


@pytest.mark.parametrize("spelling", ["optimizer", "optimizer"])  # runs of earlier versions have the latter
def test_a_reference_run_gives_a_table_of_both_accuracies_and_their_difference(tmp_path, spelling):
    config = replace(DEMO, reference_run=tmp_path / "random")
    run, reference = RunDir(tmp_path / "free"), RunDir(tmp_path / "random")
    for out, found in ((run, predicted(160, 200)), (reference, predicted(190, 200, start=200))):
        evaluation.write(out, found, None, DataDescription("drawn", True), seed=0)
    other = {"protocol": "as_published", "images": {"height": 64, "width": 48}, spelling: {"epochs": 7}}
    write_json(reference.config, {"task": "combined", "main": "cvm", **other})
    tables.check_reference_run(config)
    table = tables.leak(config, reference, Row("cvm"), run, "Ours.")
    assert [round(row["ours"][0]["value"], 6) for row in table["rows"]] == [95, 80, 15]
    assert table["note"] == "Ours. Reference run: random, 64 x 48 pixels, 7 epochs."
    with pytest.raises(InputError, match="its task is combined, not blood"):
        tables.check_reference_run(replace(config, task="blood"))


def test_a_main_row_of_a_compared_network_is_no_second_row_of_it():
    config = replace(PAPER, main="mobilenet_v2")
    names = [row.name for row in study.all_rows(config)]
    assert names[0] == "mobilenet_v2" and len(names) == len(set(names)) == 25
    assert study.main_row(replace(config, task="herlev")) == Row("mobilenet_v2")


# Errors for wrong data.


def refusal(tmp_path, task, **files):
    """The error for a folder of these class folders, each with so many images."""
    for name, count in files.items():
        for at in range(count):
            path = tmp_path / "images" / name.replace("__", "/") / f"{at + 1}_{at + 1}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", np.full((20, 20, 3), 10 * at, np.uint8))[1].tobytes())
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    with pytest.raises(InputError) as refused:
        data.read(Config(data=Source(root=tmp_path / "images"), task=task), out)
    return str(refused.value)


def test_an_empty_class_is_named_with_the_folder_that_is_spelt_otherwise(tmp_path):
    folders = dict.fromkeys(DATA_SOURCES["herlev"].label_map["abnormal"], 2)
    error = refusal(tmp_path, "herlev", **folders, normal_superficial=2)
    assert "no image of class normal" in error and "normal_superficiel or normal_intermediate" in error
    assert "normal_superficial/1_1.png: not in one of the class folders" in error


def test_folders_of_another_data_set_are_refused_with_the_names_that_are_looked_for(tmp_path):
    assert "looked for class folders basophil" in refusal(tmp_path, "blood", NILM=2, HSIL=2)


def test_a_combined_root_without_one_of_its_two_folders_says_which(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in DATA_SOURCES["sipakmed"].classes}
    error = refusal(tmp_path, "combined", **folders)
    assert "has no folder 'cric_crops'" in error and "name it with --cric" in error


def test_one_empty_class_of_eleven_is_an_error(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in DATA_SOURCES["sipakmed"].classes}
    folders |= {f"cric_crops__{name}": 2 for name in ("ASC-H", "ASC-US", "HSIL", "LSIL", "NILM")}
    assert "no image of class SCC among 20 labeled ones (1 of 11 classes are empty)" in refusal(
        tmp_path, "combined", **folders
    )


def test_a_manifest_that_mixes_data_sets_is_refused_with_row_and_label(tmp_path):
    mixed = images({"Parabasal": 3, "Koilocytotic": 3, "neutrophil": 2})
    path = tmp_path / "mixed.csv"
    manifest.write(mixed, path)
    with pytest.raises(InputError) as refused:
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))
    error = str(refused.value)
    assert "mixed.csv: neutrophil/0.png: label 'neutrophil' is none of Dyskeratotic, Koilocytotic" in error
    assert "2 such rows" in error


def test_a_manifest_of_another_task_is_refused_with_its_labels_and_the_option_to_choose_the_task(tmp_path):
    path = tmp_path / "blood.csv"
    manifest.write(images({"neutrophil": 2}), path)
    with pytest.raises(InputError, match=r"the labels there are neutrophil: .*choose the --task of these images"):
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))


def test_a_split_that_lacks_a_class_is_refused():
    everything = images({"abnormal": 40, "normal": 3})
    with pytest.raises(InputError, match=r"split \w+ \(\d+ images\) has no normal"):
        data.split(everything, replace(DEMO, task="herlev", validation_share=0.05, test_share=0.05))
