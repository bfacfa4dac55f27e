"""The study's stages: the paper's tables as data, splits, the augmented training set, errors for wrong data."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf import start
from cervix_tf.config import Augmentation, Images, Source
from cervix_tf.data import inputs, manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, evaluation
from cervix_tf.study import data as study_data
from cervix_tf.study.data import DataDescription
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import data, leak, tables, training
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
    assert [row.name for row in rows] == ["cvm", *COMPARED, "cvm-x4", "cvm_distilled", "probe"]
    assert {study.epochs(PAPER, row) for row in rows if row != PROBE} == {100}  # sec. 4.7.1: the same for all


def test_a_command_runs_the_main_row_or_all_of_table_3_or_the_rows_that_it_names():
    def names(**request):
        return [row.name for row in study.selected_rows(PAPER, RunRequest(**request))]

    assert names() == names(tables=(1, 4, 5)) == ["cvm"]
    assert names(tables=(3,)) == ["cvm", *COMPARED]
    assert names(tables=(3,), only=("probe", "vgg11")) == ["vgg11", "probe"]
    with pytest.raises(InputError, match="--only resnet18-x4: no such row; choose from cvm, vgg11"):
        names(only=("resnet18-x4",))


def test_of_cric_as_many_cells_are_drawn_as_table_1_counts_or_all_there_are(tmp_path):
    """The original download: 11,534 cells."""
    original = {"ASC-H": 925, "ASC-US": 606, "SCC": 161, "HSIL": 1703, "LSIL": 1360, "NILM": 6779}
    everything = images(
        {**original, **{name: sum(tables.PUBLISHED.table_1[name]) for name in DATA_SOURCES["sipakmed"].classes}}
    )
    totals = {name: sum(counts) for name, counts in tables.PUBLISHED.table_1.items()}
    found = data.drawn(everything, totals, seed=0)
    assert dict(found.rows["label"].value_counts()) == {**totals, "ASC-US": 606, "SCC": 161}
    shuffled = replace(everything, rows=everything.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    assert list(data.drawn(shuffled, totals, seed=0).rows["path"]) == list(found.rows["path"])
    assert list(data.drawn(everything, totals, seed=1).rows["path"]) != list(found.rows["path"])


def test_tables_4_and_5_are_of_their_own_images_in_a_folder_each(tmp_path):
    for name in ("herlev", "pbc"):
        (tmp_path / name).mkdir()
    config = replace(PAPER, data=Source(root=tmp_path))
    found = study.tasks(config, RunRequest((1, 3, 4, 5)))
    assert list(found) == ["combined", "herlev", "blood"]
    assert found["combined"] == (config, RunRequest((1, 3)))
    herlev, wanted = found["herlev"]
    assert (herlev.task, herlev.data.root, wanted) == ("herlev", tmp_path / "herlev", RunRequest((4,)))
    assert study.selected_rows(herlev, wanted) == [Row("cvm", four_times=True)]
    assert list(study.tasks(config, RunRequest((5,)))) == ["blood"]
    assert list(study.tasks(replace(config, task="herlev"), RunRequest((3, 4)))) == ["herlev"]
    assert study.run_of(config, "blood", RunDir(tmp_path / "paper")).root == tmp_path / "paper-blood"


def test_the_run_of_another_data_set_hides_patients_images_as_the_command_said(tmp_path):
    first, other = RunDir(tmp_path / "paper"), RunDir(tmp_path / "paper-herlev")
    for out in (first, other):
        out.root.mkdir()
    line = ["python", "-m", "experiments.cvm_cervix", "--data.root", "my images", "--no-images"]
    start.begin(DEMO, first, line, 0, report_images=False)
    start.begin_beside(first, replace(DEMO, task="herlev"), other, 0)
    one, two = (json.loads(out.environment.read_text()) for out in (first, other))
    assert two["report_images"] is False
    assert two["command_line"] == one["command_line"] and "--data.root 'my images'" in two["command_line"]


def test_a_table_whose_images_are_not_there_is_refused_with_the_option_that_names_them(tmp_path):
    config = replace(PAPER, data=Source(root=tmp_path))
    with pytest.raises(InputError, match=r"--tables 5: .* has no folder 'pbc'; put it there, or name it with --blood"):
        study.tasks(config, RunRequest((3, 5)))
    with pytest.raises(InputError, match="synthetic cells are drawn for the combined data only"):
        study.tasks(DEMO, RunRequest((4,)))


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


@pytest.mark.parametrize("settings", [{}, {"folds": 3}, {"prescribed": True}])
def test_splits_without_a_shared_group_that_have_copies_of_one_file_are_warned_of_once(settings, capsys):
    settings = dict(settings)
    everything = images({"abnormal": 30, "normal": 30})
    if settings.pop("prescribed", False):
        everything = prescribed(train="a", validation="b", test="c")
    same = replace(everything, rows=everything.rows.assign(sha256="a" * 64))
    config = replace(DEMO, task="herlev", similar=False, **settings)
    assert len(capsys.readouterr().err) == 0
    folds = data.split(same, config)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 * len(folds) and all("have the same bytes as images of" in line for line in said)


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
    found = leak.difference(predicted(190, 200), predicted(160, 200, start=200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    standard_error = 100 * np.sqrt(0.95 * 0.05 / 200 + 0.8 * 0.2 / 200)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert "200 and 200 groups" in found["method"] and found["n"] == 400


def test_of_the_same_images_the_leak_is_paired_and_groups_are_drawn_as_a_whole():
    found = leak.difference(predicted(190, 200), predicted(160, 200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    share = 0.15  # of the images that only the random split's network classifies correctly
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 100 * np.sqrt(share * (1 - share) / 200), rel=0.1)
    assert "paired" in found["method"] and found["n"] == 200
    shuffled = predicted(190, 200)
    shuffled = predictions.Predictions(shuffled.table.iloc[::-1].reset_index(drop=True), shuffled.classes)
    assert leak.difference(shuffled, predicted(160, 200), seed=0) == found
    coarse = leak.difference(predicted(190, 200), predicted(160, 200, groups=20), seed=0)
    assert "20 groups" in coarse["method"] and coarse["value"] == found["value"]


@pytest.fixture
def compared(tmp_path):
    """A random split's run, and a leak-free reference run of the same configuration."""
    reference, run = RunDir(tmp_path / "free"), RunDir(tmp_path / "random")
    config = replace(DEMO, protocol="as_published", reference_run=reference.root)
    start.begin(DEMO, reference, ["python"], 0)
    for out, found in ((reference, predicted(160, 200)), (run, predicted(190, 200, start=200))):
        evaluation.write(out, found, None, DataDescription("drawn", True), seed=0)
        manifest.write(images({"a": 30}, split="train"), out.manifest)
    return config, reference, run


def test_a_reference_run_gives_a_table_of_both_accuracies_and_their_difference(compared):
    config, reference, run = compared
    leak.check(config)
    table = leak.table(config, reference, Row("cvm"), run, "CVM-Cervix", "Ours.")
    assert [round(row["ours"][0]["value"], 6) for row in table["rows"]] == [95, 80, 15]
    assert table["note"] == "Ours. Reference run: free. Training images: 30 (as_published) and 30 (leak_free)."


def test_of_runs_with_unequal_training_sets_no_difference_is_given(compared):
    config, reference, run = compared
    manifest.write(images({"a": 31}, split="train"), run.manifest)
    table = leak.table(config, reference, Row("cvm"), run, "CVM-Cervix", "Ours.")
    assert len(table["rows"]) == 2 and "31 (as_published) and 30 (leak_free). They are not as many" in table["note"]
    assert len(leak.table(replace(config, folds=5), reference, Row("cvm"), run, "", "")["rows"]) == 2
    manifest.write(images({"a": 3000}, split="train"), run.manifest)
    manifest.write(images({"a": 3020}, split="train"), reference.manifest)
    assert len(leak.table(replace(config, folds=5), reference, Row("cvm"), run, "", "")["rows"]) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "blood"}, "its task is combined, not blood"),
        ({"validation_share": 0.1}, "its validation_share is 0.2, not 0.1"),
        ({"images": Images(height=64, width=80, batch_size=16)}, "its images is .*80.*, not .*64"),
        ({"optimizer": replace(DEMO.optimizer, epochs=7)}, "its optimizer is .*6.*, not .*7"),
        ({"protocol": "leak_free"}, "is leak_free too"),
    ],
)
def test_a_reference_run_that_differs_in_more_than_the_protocol_is_refused(compared, change, words):
    with pytest.raises(InputError, match=words):
        leak.check(replace(compared[0], **change))


def test_a_random_split_has_as_many_images_of_each_class_as_its_reference_run(tmp_path):
    everything = images(dict.fromkeys(DATA_SOURCES["combined"].classes, 60), groups=7)
    (free,) = data.split(everything, replace(DEMO, similar=False))
    reference = RunDir(tmp_path)
    reference.root.mkdir(exist_ok=True)
    study_data.keep_manifest(free, reference)
    config = replace(DEMO, protocol="as_published", reference_run=tmp_path)
    (published,) = data.split(everything, config)
    classes = DATA_SOURCES["combined"].classes
    assert counts_of(published, classes) == counts_of(free, classes)
    assert set(published["test"].rows["group"]) & set(published["train"].rows["group"])
    with pytest.raises(InputError, match="has 660 images, this run 600"):
        data.split(everything.where(everything.rows["label"] != "SCC"), config)


def test_a_main_row_of_a_compared_network_is_no_second_row_of_it():
    config = replace(PAPER, main="mobilenet_v2")
    names = [row.name for row in study.all_rows(config)]
    assert names[0] == "mobilenet_v2" and len(names) == len(set(names)) == 26
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
    assert "mixed.csv: neutrophil/0.png: label 'neutrophil' is not one of Dyskeratotic, Koilocytotic" in error
    assert "2 such rows" in error


def test_a_manifest_of_another_task_is_refused_with_its_labels_and_the_option_to_choose_the_task(tmp_path):
    path = tmp_path / "blood.csv"
    manifest.write(images({"neutrophil": 2}), path)
    with pytest.raises(InputError, match=r"the labels there are neutrophil: .*choose the --task of these images"):
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))


def test_a_split_that_lacks_a_class_is_refused():
    everything = images({"abnormal": 40, "normal": 2})
    with pytest.raises(InputError, match=r"split \w+ \(\d+ images\) has no normal"):
        data.split(everything, replace(DEMO, task="herlev", validation_share=0.05, test_share=0.05))


def test_seven_classes_of_herlev_are_also_read_as_two_beside_lin_2019(tmp_path):
    classes = DATA_SOURCES["herlev_seven"].classes
    assert len(classes) == 7 and DATA_SOURCES["herlev_seven"].positive == DATA_SOURCES["herlev"].label_map["abnormal"]
    labels = [*classes] * 10
    decisions = np.array([classes.index(name) for name in labels])
    decisions[decisions == 3] = 4  # light for moderate: wrong of seven, right of two
    decisions[decisions == 2] = 6  # columnar for carcinoma in situ: wrong of both
    found = predictions.from_arrays([f"i{at}" for at in range(70)], np.eye(7)[decisions], classes, labels=labels)
    out, config = RunDir(tmp_path), replace(DEMO, task="herlev_seven", main="resnet18")
    evaluation.write(out, found, None, DataDescription("", False, positive=config.data_source.positive), seed=0)
    seven, two = tables.beside_lin(config, out, "")["rows"]
    assert (seven["paper"], two["paper"]) == ([64.5], [94.5])
    assert seven["ours"][0]["value"] == pytest.approx(100 * 5 / 7)
    assert two["ours"][0]["value"] == pytest.approx(100 * 6 / 7)


def test_the_confusions_that_the_paper_counts_stand_beside_ours(tmp_path):
    classes = DATA_SOURCES["combined"].classes
    labels = ["ASC-US"] * 10 + ["LSIL"] * 8 + [*classes]
    decisions = [classes.index(name) for name in labels]
    decisions[:3] = [classes.index("LSIL")] * 3
    found = predictions.from_arrays(
        [f"i{at}" for at in range(len(labels))], np.eye(11)[decisions], classes, labels=labels
    )
    out = RunDir(tmp_path)
    evaluation.write(out, found, None, DataDescription("", False), seed=0)
    table = tables.confused(PAPER, out, "")
    assert table["columns"] == ["Test"]  # folds have no validation split of their own
    first = table["rows"][0]
    assert (first["name"], first["paper"]) == ("ASC-US predicted as LSIL", [21])
    assert first["ours"][0]["value"] == 3 and first["ours"][0]["n"] == 11
    predictions.write(found, out.validation_predictions)
    assert [row["paper"] for row in tables.confused(PAPER, out, "")["rows"]][:2] == [[15, 21], [9, 9]]


def test_a_compared_network_as_main_row_stands_beside_the_papers_own(tmp_path):
    config = replace(PAPER, main="mobilenet_v2")
    (row,) = tables.performance(config, {name: {"value": 90.0} for name in tables.SCORES}, RunDir(tmp_path), "")["rows"]
    assert row["name"] == "Test" and row["paper"][-1] == 84.62


def test_networks_that_are_compared_on_another_task_are_printed_without_the_papers_numbers(tmp_path):
    config, out = replace(PAPER, task="herlev_seven", main="resnet18", folds=5), RunDir(tmp_path)
    classes = config.data_source.classes
    found = predictions.from_arrays([f"i{at}" for at in range(7)], np.eye(7), classes, labels=classes)
    for row in (Row("resnet18"), Row("vgg11")):
        result = study.result_dir(config, out, row)
        evaluation.write(result, found, None, DataDescription("", False, positive=config.data_source.positive), seed=0)
    write_json(out.cost, {"mebibytes": {"32": 1, "16": 1}, "milliseconds": {}, "tested": {"seconds": 1, "images": 2}})
    evaluation.write(out.row("resnet18-float16"), found, None, DataDescription("", False), seed=0)
    history = out.row("fold-0-resnet18").history
    history.parent.mkdir(parents=True)
    history.write_text("epoch,seconds\n1,2\n")
    fold = dict.fromkeys(data.SPLITS, images(dict.fromkeys(classes, 1)))
    made = {table["number"]: table for table in tables.of_run(config, RunRequest((3,)), [fold] * 5, out)}
    table = made["3 on herlev_seven"]
    assert [(row["name"], row["paper"]) for row in table["rows"]] == [("ResNet18", None), ("VGG11", None)]
    assert made["Sec. 4.5"]["rows"][0]["ours"][2]["value"] == 500  # milliseconds an image
    assert [row["name"] for row in made["Test"]["rows"]] == ["Test"]  # folds have no validation split of their own
