"""The paper's tables as data, and ours beside them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, evaluation
from cervix_tf.study.data import DataDescription
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import data, tables
from experiments.cvm_cervix.config import COMPARED, DATA_SOURCES, DEMO, PAPER, PROBE, Row
from tests.experiments.pap_cells import images


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
