"""The study's parts: the paper's tables as data, splits, the augmented training set, what wrong data is told."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf.config import Augmentation, Source
from cervix_tf.data import inputs, manifest
from cervix_tf.errors import InputError
from cervix_tf.evaluate import predictions
from cervix_tf.run_dir import RunDir, write_json
from experiments.cvm_cervix import data, results, rows, tables, training
from experiments.cvm_cervix.config import COMPARED, DEMO, PAPER, READINGS, Config
from experiments.cvm_cervix.rows import Row


def images(counts, groups=1, split=""):
    """A manifest of so many images a class, `groups` images a group."""
    records = [
        {"path": f"{label}/{at}.png", "label": label, "group": f"{label} {at // groups}", "split": split}
        for label, count in counts.items()
        for at in range(count)
    ]
    return manifest.of_records(records, ".")


def counts_of(parts, classes):
    return {name: tuple((parts[part].rows["label"] == name).sum() for part in data.PARTS) for name in classes}


@pytest.mark.parametrize("task", ["combined", "blood", "herlev"])
def test_the_published_split_has_every_count_of_tables_1_4_and_5(task):
    published = dict(tables.SPLITS[task])
    if task == "herlev":  # Table 4 counts every training image four times
        published = {name: (train // 4, *rest) for name, (train, *rest) in published.items()}
    everything = images({name: sum(parts) for name, parts in published.items()})
    parts = data.published_split(everything, 0.2, 0.2, seed=0)
    assert counts_of(parts, published) == published
    assert sorted(pd.concat([part.rows["path"] for part in parts.values()])) == sorted(everything.rows["path"])


def test_table_1_has_1763_test_and_1767_validation_images():
    assert [sum(column) for column in zip(*tables.TABLE_1.values(), strict=True)] == [5308, 1767, 1763]
    shown = tables.of_split("combined", tuple(tables.TABLE_1), tables.TABLE_1, "")
    assert shown["rows"][-1]["paper"] == [5308, 1767, 1763, 8838]


def test_table_4_counts_the_four_copies_of_its_training_set():
    everything = images({"abnormal": 675, "normal": 242})
    parts = data.published_split(everything, 0.2, 0.2, seed=0)
    assert rows.main(replace(PAPER, task="herlev")).four_times
    found = results.counted(parts, ("abnormal", "normal"), four_times=True)
    assert {name: tuple(each) for name, each in found.items()} == tables.TABLE_4


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
    for task, (_, *parts) in tables.PERFORMANCE.items():
        for numbers, n in zip(parts, sizes[task], strict=True):
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
    assert {rows.epochs(PAPER, row) for row in rows.every(PAPER)} == {100}  # sec. 4.7.1: the same for all
    assert [row.name for row in rows.every(PAPER)] == ["cvm", *COMPARED, "cvm-x4", "probe"]


def test_leak_free_parts_share_no_group_and_random_ones_do():
    everything = images(dict.fromkeys(READINGS["combined"].classes, 60), groups=4)
    config = replace(DEMO, similar=False)
    (free,) = data.folds_of(everything, config)
    assert all(not set(free["test"].rows["group"]) & set(free[name].rows["group"]) for name in ("train", "validation"))
    (published,) = data.folds_of(everything, replace(config, protocol="as_published"))
    assert set(published["test"].rows["group"]) & set(published["train"].rows["group"])


@pytest.mark.parametrize("protocol", ["as_published", "leak_free"])
def test_in_a_cross_validation_every_image_is_tested_once_and_keeps_its_group(protocol):
    everything = images({"abnormal": 80, "normal": 40}, groups=2)
    config = replace(DEMO, task="herlev", protocol=protocol, folds=5)
    folds = data.folds_of(everything, config)
    tested = pd.concat([parts["test"].rows for parts in folds])
    assert sorted(tested["path"]) == sorted(everything.rows["path"])
    assert (tested["group"] != "").all()
    for parts in folds:
        assert sum(map(len, parts.values())) == len(everything)
        assert {name: round(len(part) / len(everything), 1) for name, part in parts.items()} == {
            "train": 0.6,
            "validation": 0.2,
            "test": 0.2,
        }


def test_a_prescribed_split_is_kept_and_one_that_leaks_is_refused():
    parts = [images({"abnormal": 6, "normal": 6}, split=name) for name in data.PARTS]
    for at, part in enumerate(parts):
        part.rows["path"] = part.rows["path"].str.replace(".png", f"_{at}.png")
    config = replace(DEMO, task="herlev")
    with pytest.raises(InputError, match=r"group 'abnormal 0' is in train"):
        data.folds_of(manifest.joined(parts), config)
    (found,) = data.folds_of(manifest.joined(parts), replace(config, protocol="as_published"))
    assert {name: len(part) for name, part in found.items()} == {"train": 12, "validation": 12, "test": 12}


def test_the_four_copies_are_the_image_its_half_turn_and_its_mirror_images():
    everything = images({"abnormal": 3, "normal": 2})
    given = inputs.of_images(everything, ("abnormal", "normal"))
    copied, augmentations = training.four_times(given, Augmentation())
    assert len(copied) == 20 == len(augmentations)
    np.testing.assert_array_equal(copied.labels, np.tile(given.labels, 4))
    of_first = [augmentations[at] for at in range(20) if copied.files[at] == given.files[0]]
    flips = {(each.horizontal_flip, each.vertical_flip) for each in of_first}
    assert flips == {(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)}  # both flips are a turn by 180 degrees
    _, augmentations = training.four_times(given, Augmentation(horizontal_flip=0.3))
    assert {each.horizontal_flip for each in augmentations} == {0.3, 0.7}


def judged(right, total, start=0, groups=None):
    """`total` images of which the first `right` are told rightly; each its own group unless so many are given."""
    decisions = np.where(np.arange(total) < right, 0, 1)
    names = [f"g{start + at % (groups or total)}" for at in range(total)]
    ids = [f"i{start + at}" for at in range(total)]
    return predictions.of(ids, np.eye(2)[decisions], ("a", "b"), labels=["a"] * total, groups=names)


def test_a_random_split_that_is_easier_is_a_positive_leak_with_an_interval():
    found = results.difference(judged(190, 200), judged(160, 200, start=200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    standard_error = 100 * np.sqrt(0.95 * 0.05 / 200 + 0.8 * 0.2 / 200)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert "200 and 200 groups" in found["method"]


def test_of_the_same_images_the_leak_is_paired_and_groups_are_drawn_as_a_whole():
    found = results.difference(judged(190, 200), judged(160, 200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    share = 0.15  # of the images that only the random split's network tells rightly
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 100 * np.sqrt(share * (1 - share) / 200), rel=0.1)
    assert "paired" in found["method"]
    shuffled = judged(190, 200)
    shuffled = predictions.Predictions(shuffled.table.iloc[::-1].reset_index(drop=True), shuffled.classes)
    assert results.difference(shuffled, judged(160, 200), seed=0) == found
    coarse = results.difference(judged(190, 200), judged(160, 200, groups=20), seed=0)
    assert "20 groups" in coarse["method"] and coarse["value"] == found["value"]


def test_a_main_row_of_a_compared_network_is_no_second_row_of_it():
    config = replace(PAPER, main="mobilenet_v2")
    names = [row.name for row in rows.every(config)]
    assert names[0] == "mobilenet_v2" and len(names) == len(set(names)) == 25
    assert rows.main(replace(config, task="herlev")) == Row("mobilenet_v2")


# What wrong data is told.


def wrong(tmp_path, task, **files):
    """What the study says to a folder of these class folders, each with so many images."""
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
    folders = dict.fromkeys(READINGS["herlev"].classes["abnormal"], 2)
    said = wrong(tmp_path, "herlev", **folders, normal_superficial=2)
    assert "no image of class normal" in said and "normal_superficiel or normal_intermediate" in said
    assert "normal_superficial/1_1.png: not in one of the class folders" in said


def test_folders_of_another_data_set_are_told_what_is_looked_for(tmp_path):
    assert "looked for class folders basophil" in wrong(tmp_path, "blood", NILM=2, HSIL=2)


def test_a_combined_root_without_one_of_its_two_folders_says_which(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in READINGS["sipakmed"].classes}
    said = wrong(tmp_path, "combined", **folders)
    assert "has no folder 'cric_crops'" in said and "--cric" in said


def test_one_empty_class_of_eleven_is_an_error(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in READINGS["sipakmed"].classes}
    folders |= {f"cric_crops__{name}": 2 for name in ("ASC-H", "ASC-US", "HSIL", "LSIL", "NILM")}
    assert "no image of class SCC (1 of 11 classes are empty)" in wrong(tmp_path, "combined", **folders)


def test_a_manifest_that_mixes_data_sets_is_refused_with_row_and_label(tmp_path):
    mixed = images({"Parabasal": 3, "Koilocytotic": 3, "neutrophil": 2})
    path = tmp_path / "mixed.csv"
    manifest.write(mixed, path)
    with pytest.raises(InputError) as refused:
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))
    said = str(refused.value)
    assert "mixed.csv: neutrophil/0.png: label 'neutrophil' is none of the sipakmed task's" in said
    assert "2 such rows" in said


def test_a_part_that_lacks_a_class_is_refused():
    everything = images({"abnormal": 40, "normal": 3})
    with pytest.raises(InputError, match=r"part \w+ \(\d+ images\) has no normal"):
        data.folds_of(everything, replace(DEMO, task="herlev", validation_share=0.05, test_share=0.05))
