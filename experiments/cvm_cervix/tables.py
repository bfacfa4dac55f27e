"""The paper's tables and figures as data, and ours beside them; per cent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cervix_tf import history_file
from cervix_tf.metrics import classification, predictions
from cervix_tf.report.tables import IMAGES, Measured, Table, line, per_cent
from cervix_tf.report.tables import Row as Line
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import RunRequest, data
from cervix_tf.study.data import Splits
from cervix_tf.study.rows import trainings
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import leak
from experiments.cvm_cervix.config import COMPARED, CVM, CVM_DISTILLED, FLIPS, PROBE, SIXTEEN_BITS, Config, Row, Task
from experiments.cvm_cervix.data import SPLITS, described

NAMES = {**COMPARED, CVM: "CVM-Cervix"}
SCORES = {"macro_precision": "Avg. P", "macro_recall": "Avg. R", "macro_f1": "Avg. F1", "accuracy": "Acc"}

# Class -> images of train, validation, test.
TABLE_1 = {
    "ASC-H": (484, 161, 161),
    "ASC-US": (446, 148, 148),
    "SCC": (413, 137, 137),
    "HSIL": (525, 175, 174),
    "LSIL": (491, 164, 163),
    "NILM": (518, 172, 172),
    "Dyskeratotic": (488, 163, 162),
    "Koilocytotic": (495, 165, 165),
    "Metaplastic": (476, 159, 158),
    "Parabasal": (473, 157, 157),
    "Superficial-Intermediate": (499, 166, 166),
}
TABLE_4 = {"abnormal": (1620, 135, 135), "normal": (584, 48, 48)}  # its training split stands there four times
TABLE_5 = {
    "basophil": (731, 244, 243),
    "eosinophil": (1871, 623, 623),
    "erythroblast": (931, 310, 310),
    "ig": (1737, 579, 579),
    "lymphocyte": (729, 243, 242),
    "monocyte": (852, 284, 284),
    "neutrophil": (1998, 666, 665),
    "platelet": (1409, 470, 469),
}
SPLIT_TABLES = {"combined": TABLE_1, "herlev": TABLE_4, "blood": TABLE_5}
# Network -> average precision, recall, F1 score, and accuracy on the test split.
TABLE_3 = {
    "vgg11": (84.80, 83.90, 84.00, 84.06),
    "vgg13": (85.30, 84.70, 84.40, 84.62),
    "vgg16": (79.80, 79.90, 79.60, 79.97),
    "vgg19": (78.60, 78.30, 78.20, 78.38),
    "resnet18": (88.40, 88.30, 88.20, 88.25),
    "resnet34": (88.00, 88.10, 87.90, 88.03),
    "resnet50": (87.60, 87.60, 87.30, 87.57),
    "resnet101": (86.50, 86.40, 86.30, 86.38),
    "densenet121": (87.90, 87.80, 87.70, 87.86),
    "densenet169": (89.20, 88.90, 88.70, 88.99),
    "inception_v3": (85.40, 84.90, 84.80, 84.96),
    "xception": (87.70, 87.70, 87.60, 87.69),
    "alexnet": (86.20, 86.20, 86.10, 86.10),
    "googlenet": (87.60, 87.20, 87.10, 87.29),
    "mobilenet_v2": (84.90, 84.60, 84.60, 84.62),
    "shufflenet_v2_x1_0": (85.50, 84.30, 84.50, 84.57),
    "shufflenet_v2_x0_5": (82.60, 82.60, 82.50, 82.64),
    "inception_resnet_v1": (85.20, 84.90, 84.90, 84.96),
    "vit_b16": (86.10, 86.00, 85.70, 85.87),
    "botnet50": (66.10, 65.50, 63.90, 65.51),
    "deit_tiny": (87.40, 87.40, 87.20, 87.35),
    "t2t_vit_14": (85.60, 85.30, 85.20, 85.19),
    "cvm": (91.80, 91.60, 91.70, 91.72),
}
# Task -> name of the figure, then the same four numbers of CVM-Cervix on validation and test.
PERFORMANCE = {
    "combined": ("Fig. 5", (92.80, 92.90, 92.80, 92.87), (91.80, 91.60, 91.70, 91.72)),
    "herlev": ("Fig. 9", (96.40, 95.10, 95.80, 96.72), (88.90, 93.50, 90.70, 92.35)),
    "blood": ("Fig. 11", (99.00, 98.90, 98.90, 98.89), (98.70, 98.40, 98.50, 98.48)),
}
FIGURE_7 = {False: (91.80, 91.60, 91.70, 91.72), True: (93.60, 93.50, 93.50, 93.48)}  # by augmented training
# Fig. 6 as sec. 4.4 quotes it: (class, predicted as) -> images of the validation and of the test split.
FIGURE_6 = {
    ("ASC-US", "LSIL"): (15, 21),
    ("ASC-US", "NILM"): (9, 9),
    ("LSIL", "ASC-US"): (24, 22),
    ("LSIL", "NILM"): (None, 11),
    ("Dyskeratotic", "Koilocytotic"): (None, 11),
}
# Not in the paper: accuracy of Lin et al. 2019 (IEEE Access 7), 10.1109/access.2019.2919390.
LIN_2019 = {"seven classes": 64.5, "abnormal against normal": 94.5}
# Sec. 4.5: seconds of an epoch and of training (2.3 hours), milliseconds of an image (31 seconds by 1,763 images).
TIMES = (82.0, 8280.0, 18.0, None)
MEBIBYTES = {32: 120, 16: 60}  # sec. 4.5 and 4.6

Scores = Mapping[str, Measured]
"""One of `SCORES` -> what was measured, in per cent."""


def of_run(config: Config, request: RunRequest, folds: Sequence[Splits], out: RunDir) -> list[Table]:
    """The tables that what is finished allows, the paper's first."""
    main_row, note = study.main_row(config), noted(config)
    finished = {
        row: scores(read_json(result.metrics))
        for row in study.all_rows(config)
        if (result := study.result_dir(config, out, row)).metrics.exists()
    }
    made = [of_counts(config.task, counted(config, folds[0]), _note_on_counts(config, len(folds)))]
    if main_row in finished:
        made.append(performance(config, finished[main_row], out, note))
    if config.task == "combined":
        published = not config.synthetic_cells
        if 3 in request.tables or len(finished) > 1:
            plain = {row.network: each for row, each in finished.items() if not row.four_times}
            made.append(of_rows(plain, published, note))
        if main_row in finished:
            made.append(confused(config, out, note))
        copied = {row.four_times: each for row, each in finished.items() if row.network == CVM}
        if True in copied:
            rows = [
                _scored(name, CVM, FIGURE_7[how] if published else None, copied.get(how))
                for how, name in ((False, "Unaugmented training set"), (True, "Augmented training set"))
            ]
            made.append(_table("Fig. 7", "CVM-Cervix with the training set augmented four times", rows, note))
        if Row(CVM_DISTILLED) in finished:
            rows = [
                _scored("As it is", CVM, TABLE_3[CVM] if published else None, copied.get(False)),
                _scored("With a distillation token", CVM_DISTILLED, None, finished[Row(CVM_DISTILLED)]),
            ]
            worse = f"{note} The paper: worse with the distillation module, without a number."
            made.append(_table("Sec. 5.2", "CVM-Cervix with a distilled DeiT", rows, worse))
    elif len(finished) > 1:
        rows = [_scored(_row_name(row), row.network, None, each) for row, each in finished.items() if row != PROBE]
        made.append(_table(f"3 on {config.task}", f"Comparison of the networks, {config.data_source.text}", rows, note))
    if main_row in finished:
        made += of_main_row(config, out, note)
        if "herlev" in config.data_source.layouts:
            made.append(beside_lin(config, out, note))
    if PROBE in finished:
        rows = [_scored(f"{_name(config.main)}, features as they are", PROBE.name, None, finished[PROBE])]
        made.append(_table("Probe", "Logistic regression on the features of the initial weights", rows, note))
    if config.reference_run is not None:
        reference = RunDir(config.reference_run)
        both = [row for row in finished if study.result_dir(config, reference, row).metrics.exists()]
        made += [leak.table(config, reference, row, out, _name(row.network), note) for row in both]
    return made


def scores(metrics: Mapping[str, Any]) -> dict[str, Measured]:
    """The numbers of Table 3 out of a metrics.json, in per cent."""
    return {name: per_cent(metrics["metrics"][name]) for name in SCORES}


def _accuracy(result: RunDir) -> Measured:
    return scores(read_json(result.metrics))["accuracy"]


def noted(config: Config) -> str:
    """How our numbers were made, in a sentence."""
    how = {"as_published": "split at random by class (as_published)", "leak_free": "split by group (leak_free)"}
    split = how[config.protocol] + (f", {config.folds}-fold cross-validation" if config.folds > 1 else "")
    if config.protocol == "leak_free" and config.similar:
        split += ", near-duplicates joined"
    start = {"random": "random", "imagenet": "ImageNet"}.get(config.weights, "pre-trained")
    if config.weights_folder is not None:
        start = "pre-trained"
    compared = f" ({config.compared_epochs} of the networks compared with)" if config.compared_epochs else ""
    return (
        f"Ours: {described(config).text}, {config.images.height} x {config.images.width} pixels, {start} initial "
        f"weights, {config.optimizer.epochs} epochs{compared}, {split}, epoch chosen by {config.criterion}, seed "
        f"{config.seed}."
    )


def counted(config: Config, splits: Splits) -> dict[str, list[int]]:
    """Class -> images of each split; a training set that stands there four times counts four times."""
    counts = data.counts(splits)
    copies = {"train": 4 if study.main_row(config).four_times else 1}
    classes = config.data_source.classes
    return {label: [counts[name][label] * copies.get(name, 1) for name in SPLITS] for label in classes}


def _note_on_counts(config: Config, folds: int) -> str:
    notes = ["Ours: the first fold."] if folds > 1 else []
    if study.main_row(config).four_times:
        notes.append("The training set stands there four times, as in the paper.")
    elif config.data_source.four_times:
        notes.append("The paper's training set is augmented four times, ours is not.")
    if config.task == "combined" and not config.synthetic_cells and folds == 1:
        cells = "as many cells as the paper, or all there are" if config.cric_cells == "published" else "all cells"
        notes.append(f"Of CRIC: {cells}; it has fewer ASC-US and SCC than the paper counts.")
    return " ".join([*notes, f"Ours: {described(config).text}, protocol {config.protocol}."])


def of_counts(task: Task, counts: Mapping[str, Sequence[int]], note: str) -> Table:
    """Table 1, 4 or 5: images of each class in each split; `counts` are ours, class -> train, validation, test."""

    def summed(counts: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        total = [sum(column) for column in zip(*counts.values(), strict=True)]
        return {name: [*each, sum(each)] for name, each in {**counts, "Total": total}.items()}

    paper = summed(SPLIT_TABLES[task]) if task in SPLIT_TABLES else {}
    rows = [line(name, "", paper.get(name), [{"value": n} for n in each]) for name, each in summed(counts).items()]
    number = study.DATA_SOURCES[task].table or "Split"
    columns = ["Train", "Validation", "Test", "Total"]
    return {**_table(number, "Data settings", rows, note, columns), "unit": IMAGES, "spread": ""}


def of_rows(found: Mapping[str, Scores], published: bool, note: str) -> Table:
    """Table 3: the test split by every network that was run; `found` is row -> scores."""
    rows = [_scored(name, row, TABLE_3[row] if published else None, found.get(row)) for row, name in NAMES.items()]
    return _table(3, "Comparison of the networks on the test split", rows, note)


def performance(config: Config, test: Scores, out: RunDir, note: str) -> Table:
    """Fig. 5, 9 or 11: the main row on validation and test split."""
    figure, of_validation, of_test = PERFORMANCE.get(config.task, ("Test", None, None))
    if config.synthetic_cells or config.main != CVM:
        of_validation = None
        of_test = TABLE_3[config.main] if config.task == "combined" and not config.synthetic_cells else None
    rows = [_scored("Test", config.main, of_test, test)]
    if out.validation_predictions.exists():  # folds have none
        validation = scores(classification.summary(predictions.read(out.validation_predictions), seed=config.seed))
        rows.insert(0, _scored("Validation", config.main, of_validation, validation))
    return _table(figure, f"Performance of {_name(config.main)}", rows, note)


def confused(config: Config, out: RunDir, note: str) -> Table:
    """Fig. 6: the images that sec. 4.4 counts, and ours, each of so many of its class."""
    found = {
        column: predictions.read(path)
        for column, path in (("Validation", out.validation_predictions), ("Test", out.predictions))
        if path.exists()
    }
    published = config.main == CVM and not config.synthetic_cells
    rows = []
    for (label, wrong), papers in FIGURE_6.items():
        ours: list[Measured | None] = []
        for predicted in found.values():
            of_class = predicted.labels == predicted.classes.index(label)
            taken = predicted.decisions[of_class] == predicted.classes.index(wrong)
            ours.append({"value": int(taken.sum()), "n": int(of_class.sum()), "method": "images of the class"})
        row = papers[-len(found) :] if published else None
        rows.append(line(f"{label} predicted as {wrong}", config.main, row, ours))
    return {
        **_table("Fig. 6", f"Confusions of {_name(config.main)} that the paper counts", rows, note, list(found)),
        "unit": IMAGES,
        "spread": "",
    }


def of_main_row(config: Config, out: RunDir, note: str) -> list[Table]:
    """What is measured of the main row alone: time, 16-bit weights, mirrored test images."""
    row, cost = study.main_row(config), read_json(out.cost)
    network, name = row.network, _name(row.network)
    published = config.task == "combined" and config.main == CVM and not config.synthetic_cells
    seconds = history_file.read(out.row(trainings(row.name, config.folds)[0]).history)["seconds"]
    low, median, high = np.percentile(seconds, [5, 50, 95]).tolist()
    times: list[Measured | None] = [
        {"value": median, "low": low, "high": high, "n": len(seconds), "method": "median of the epochs"},
        {"value": float(seconds.sum()), "n": 1, "method": "sum of the epochs, validation included"},
        {
            "value": 1000 * cost["tested"]["seconds"] / cost["tested"]["images"],
            "n": cost["tested"]["images"],
            "method": "the test split in batches, files read and decoded, divided by its images",
        },
        cost["milliseconds"],
    ]
    rows = [line(name, network, TIMES if published else None, times)]
    columns = ["Epoch", "Training", "Test image", "Forward pass"]
    of_time = _table("Sec. 4.5", "Computational time", rows, note, columns)
    made: list[Table] = [{**of_time, "unit": "seconds, of an image milliseconds", "spread": "[5th, 95th percentile]"}]
    rows = []
    for bits, result in {32: out, 16: out.row(row.name + SIXTEEN_BITS)}.items():
        size = f"{bits}-bit weights, {cost['mebibytes'][str(bits)]:.1f} MiB"
        size += f" (paper {MEBIBYTES[bits]} MB)" if published else ""
        paper = TABLE_3[CVM][-1:] if published and bits == 32 else None
        rows.append(line(size, network, paper, [_accuracy(result)]))
    less = " The paper: about 1 point less with 16 bits." if published else ""
    made.append(_table("Sec. 4.6", f"Weights of {name} rounded to 16 bits", rows, note + less, ["Acc"]))
    if (mirrored := out.row(row.name + FLIPS)).metrics.exists():
        results = {"As it is": out, "Mean of four mirrorings": mirrored}
        rows = [line(each, network, None, [_accuracy(result)]) for each, result in results.items()]
        made.append(_table("Extra", f"{name}: each test image mirrored", rows, note, ["Acc"]))
    return made


def beside_lin(config: Config, out: RunDir, note: str) -> Table:
    """Not in the paper: accuracy on Herlev beside Lin et al. 2019; seven classes are also read as two."""
    row = study.main_row(config)
    results = {"": out, ", mean of four mirrorings": out.row(row.name + FLIPS)}
    rows = []
    for how, result in results.items():
        if result.metrics.exists():
            metrics = read_json(result.metrics)
            two = metrics["binary"]["metrics"]["accuracy"]
            measured = {"abnormal against normal": two}
            if config.task == "herlev_seven":
                measured = {"seven classes": metrics["metrics"]["accuracy"], **measured}
            rows += [
                line(name.capitalize() + how, row.network, [LIN_2019[name]] if not how else None, [per_cent(each)])
                for name, each in measured.items()
            ]
    note = (
        "In the paper's place: Lin et al. 2019, GoogLeNet with masks of nucleus and cytoplasm as further channels, "
        f"five folds split by patient. {note}"
    )
    return _table("Lin 2019", "Herlev beside Lin et al. 2019", rows, note, ["Acc"])


def _name(network: str) -> str:
    return {**NAMES, CVM_DISTILLED: "CVM-Cervix with a distilled DeiT", PROBE.name: "the probe"}.get(network, network)


def _row_name(row: Row) -> str:
    return _name(row.network) + (", augmented training set" if row.four_times else "")


def _scored(name: str, row: str, paper: Sequence[float] | None, ours: Scores | None) -> Line:
    return line(name, row, paper, [ours[score] for score in SCORES] if ours else None)


def _table(
    number: int | str, title: str, rows: list[Line], note: str, columns: Sequence[str] = tuple(SCORES.values())
) -> Table:
    return {"number": number, "title": title, "columns": list(columns), "rows": rows, "note": note}
