"""Ours beside the paper's tables and figures; percent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cervix_tf import history_file
from cervix_tf.compare import comparison
from cervix_tf.metrics import classification, predictions
from cervix_tf.report.tables import IMAGES, Measured, Table, line, per_cent, table
from cervix_tf.report.tables import Row as Line
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import RunRequest, data
from cervix_tf.study.data import SPLITS, Splits
from cervix_tf.study.rows import trainings
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import leak
from experiments.cvm_cervix.config import (
    COMPARED,
    CVM,
    CVM_DISTILLED,
    FLIPS,
    NAMES,
    PROBE,
    PUBLISHED,
    SIXTEEN_BITS,
    Config,
    Row,
    Task,
)
from experiments.cvm_cervix.data import described

SCORES = {"macro_precision": "Avg. P", "macro_recall": "Avg. R", "macro_f1": "Avg. F1", "accuracy": "Acc"}
SPLIT_TABLES = {"combined": PUBLISHED.table_1, "herlev": PUBLISHED.table_4, "blood": PUBLISHED.table_5}
TABLE_3 = {network: numbers for _, network, numbers in PUBLISHED.table_3}
LIN_2019 = {"seven classes": 64.5, "abnormal against normal": 94.5}
"""Not in the paper: accuracy of Lin et al. 2019 (IEEE Access 7), 10.1109/access.2019.2919390."""

Scores = Mapping[str, Measured]
"""One of `SCORES` -> what was measured, in percent."""


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
            if CVM in plain and plain.keys() & set(COMPARED):
                made.append(above_each(config, [name for name in COMPARED if name in plain], published, out, note))
        if main_row in finished:
            made.append(confused(config, out, note))
        copied = {row.four_times: each for row, each in finished.items() if row.network == CVM}
        if True in copied:
            rows = [
                _scored(name, CVM, numbers if published else None, copied.get(how))
                for how, (name, numbers) in zip((False, True), PUBLISHED.figure_7.items(), strict=True)
            ]
            made.append(
                table("Fig. 7", "CVM-Cervix with the training set augmented four times", SCORES.values(), rows, note)
            )
        if Row(CVM_DISTILLED) in finished:
            rows = [
                _scored("As it is", CVM, TABLE_3[CVM] if published else None, copied.get(False)),
                _scored("With a distillation token", CVM_DISTILLED, None, finished[Row(CVM_DISTILLED)]),
            ]
            worse = f"{note} The paper says that the distillation module is worse, without a number."
            made.append(table("Sec. 5.2", "CVM-Cervix with a distilled DeiT", SCORES.values(), rows, worse))
    elif len(finished) > 1:
        rows = [_scored(_row_name(row), row.network, None, each) for row, each in finished.items() if row != PROBE]
        title = f"Comparison of the networks, {config.data_source.text}"
        made.append(table(f"3 on {config.task}", title, SCORES.values(), rows, note))
    if main_row in finished:
        made += of_main_row(config, out, note)
        if "herlev" in config.data_source.layouts:
            made.append(beside_lin(config, out, note))
    if PROBE in finished:
        rows = [_scored(f"{_name(config.main)}, features as they are", PROBE.name, None, finished[PROBE])]
        made.append(
            table("Probe", "Logistic regression on the features of the initial weights", SCORES.values(), rows, note)
        )
    if config.reference_run is not None:
        reference = RunDir(config.reference_run)
        both = [row for row in finished if study.result_dir(config, reference, row).metrics.exists()]
        made += [leak.table(config, reference, row, out, _name(row.network), note) for row in both]
    return made


def scores(metrics: Mapping[str, Any]) -> dict[str, Measured]:
    """The numbers of Table 3 out of a metrics.json, in percent."""
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
    compared = f" ({config.compared_epochs} for the networks compared with it)" if config.compared_epochs else ""
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
        notes.append("The training set is counted four times, as in the paper.")
    elif config.data_source.four_times:
        notes.append("The paper's training set is augmented four times, ours is not.")
    if config.task == "combined" and not config.synthetic_cells and folds == 1:
        cells = (
            "as many cells as in the paper, or all if there are fewer"
            if config.cric_cells == "published"
            else "all cells"
        )
        notes.append(f"CRIC: {cells}; it has fewer ASC-US and SCC cells than the paper counts.")
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
    return table(number, "Data settings", columns, rows, note, unit=IMAGES, spread="")


def of_rows(found: Mapping[str, Scores], published: bool, note: str) -> Table:
    """Table 3: the test split by every network that was run; `found` is row -> scores."""
    rows = [_scored(name, row, TABLE_3[row] if published else None, found.get(row)) for row, name in NAMES.items()]
    return table(3, "Comparison of the networks on the test split", SCORES.values(), rows, note)


def above_each(config: Config, networks: Sequence[str], published: bool, out: RunDir, note: str) -> Table:
    """How far CVM-Cervix lies above other networks of Table 3, in points of accuracy on the same test images."""
    tested = {name: predictions.read(study.result_dir(config, out, Row(name)).predictions) for name in (CVM, *networks)}
    found = comparison.compare(tested, "accuracy", seed=config.seed)
    above = {each["second"]: each for each in found["pairs"] if each["first"] == CVM}
    rows = [
        line(
            _name(name),
            name,
            [round(TABLE_3[CVM][-1] - TABLE_3[name][-1], 2)] if published else None,
            [per_cent(above[name]["difference"])],
        )
        for name in networks
    ]
    more = " Paired: the same resampled groups."
    return table("Table 3, paired", "CVM-Cervix above the network, points of accuracy", ["Points"], rows, note + more)


def performance(config: Config, test: Scores, out: RunDir, note: str) -> Table:
    """Fig. 5, 9 or 11: the main row on validation and test split."""
    figure, of_validation, of_test = PUBLISHED.performance.get(config.task, ("Test", None, None))
    if config.synthetic_cells or config.main != CVM:
        of_validation = None
        of_test = TABLE_3[config.main] if config.task == "combined" and not config.synthetic_cells else None
    rows = [_scored("Test", config.main, of_test, test)]
    if out.validation_predictions.exists():  # folds have none
        validation = scores(classification.summary(predictions.read(out.validation_predictions), seed=config.seed))
        rows.insert(0, _scored("Validation", config.main, of_validation, validation))
    return table(figure, f"Performance of {_name(config.main)}", SCORES.values(), rows, note)


def confused(config: Config, out: RunDir, note: str) -> Table:
    """Fig. 6: the images that sec. 4.4 counts, and ours, each of so many of its class."""
    found = {
        column: predictions.read(path)
        for column, path in (("Validation", out.validation_predictions), ("Test", out.predictions))
        if path.exists()
    }
    published = config.main == CVM and not config.synthetic_cells
    rows = []
    for label, wrong, papers in PUBLISHED.figure_6:
        ours: list[Measured | None] = []
        for predicted in found.values():
            of_class = predicted.labels == predicted.classes.index(label)
            taken = predicted.decisions[of_class] == predicted.classes.index(wrong)
            ours.append({"value": int(taken.sum()), "n": int(of_class.sum()), "method": "images of the class"})
        row = papers[-len(found) :] if published else None
        rows.append(line(f"{label} predicted as {wrong}", config.main, row, ours))
    title = f"Confusions of {_name(config.main)} that the paper counts"
    return table("Fig. 6", title, found, rows, note, unit=IMAGES, spread="")


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
    rows = [line(name, network, (*PUBLISHED.times, None) if published else None, times)]
    columns, unit = ["Epoch", "Training", "Test image", "Forward pass"], "seconds, of an image milliseconds"
    spread = "[5th, 95th percentile]"
    made = [table("Sec. 4.5", "Computational time", columns, rows, note, unit=unit, spread=spread)]
    rows = []
    for bits, result in {32: out, 16: out.row(row.name + SIXTEEN_BITS)}.items():
        size = f"{bits}-bit weights, {cost['mebibytes'][str(bits)]:.1f} MiB"
        size += f" (paper {PUBLISHED.megabytes[bits]} MB)" if published else ""
        paper = TABLE_3[CVM][-1:] if published and bits == 32 else None
        rows.append(line(size, network, paper, [_accuracy(result)]))
    less = " The paper: about 1 point less with 16 bits." if published else ""
    made.append(table("Sec. 4.6", f"Weights of {name} rounded to 16 bits", ["Acc"], rows, note + less))
    if (mirrored := out.row(row.name + FLIPS)).metrics.exists():
        results = {"As it is": out, "Mean of four mirrorings": mirrored}
        rows = [line(each, network, None, [_accuracy(result)]) for each, result in results.items()]
        made.append(table("Extra", f"{name}: each test image mirrored", ["Acc"], rows, note))
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
        "In place of the paper: Lin et al. 2019, GoogLeNet with masks of nucleus and cytoplasm as more channels, "
        f"five folds split by patient. {note}"
    )
    return table("Lin 2019", "Herlev beside Lin et al. 2019", ["Acc"], rows, note)


def _name(network: str) -> str:
    return {**NAMES, CVM_DISTILLED: "CVM-Cervix with a distilled DeiT", PROBE.name: "the probe"}.get(network, network)


def _row_name(row: Row) -> str:
    return _name(row.network) + (", augmented training set" if row.four_times else "")


def _scored(name: str, row: str, paper: Sequence[float] | None, ours: Scores | None) -> Line:
    return line(name, row, paper, [ours[score] for score in SCORES] if ours else None)
