"""Ours beside the paper's tables and figures; per cent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cervix_tf import history_file
from cervix_tf.compare import comparison
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import IMAGES, Measured, Row, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import RunRequest, data
from cervix_tf.study.data import SPLITS, Splits
from cervix_tf.study.rows import trainings
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix.config import CVM, FLIPS, NAMES, PROBE, PUBLISHED, SIXTEEN_BITS, Config
from experiments.cvm_cervix.data import described

SCORES = {"macro_precision": "Avg. P", "macro_recall": "Avg. R", "macro_f1": "Avg. F1", "accuracy": "Acc"}
SPLIT_TABLES = {"combined": PUBLISHED.table_1, "herlev": PUBLISHED.table_4, "blood": PUBLISHED.table_5}
TABLE_3 = {network: numbers for _, network, numbers in PUBLISHED.table_3}

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
        copied = {row.four_times: each for row, each in finished.items() if row.network == CVM}
        if True in copied:
            rows = [
                _scored(name, CVM, numbers if published else None, copied.get(how))
                for how, (name, numbers) in zip((False, True), PUBLISHED.figure_7.items(), strict=True)
            ]
            made.append(
                table("Fig. 7", "CVM-Cervix with the training set augmented four times", SCORES.values(), rows, note)
            )
    if main_row in finished:
        made += of_main_row(config, out, note)
    if PROBE in finished:
        rows = [_scored(f"{_name(config.main)}, features as they are", PROBE.name, None, finished[PROBE])]
        made.append(
            table("Probe", "Logistic regression on the features of the initial weights", SCORES.values(), rows, note)
        )
    if config.reference_run is not None:
        reference = RunDir(config.reference_run)
        both = [row for row in finished if study.result_dir(config, reference, row).metrics.exists()]
        made += [leak(config, reference, row, out, note) for row in both]
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
    return " ".join([*notes, f"Ours: {described(config).text}, protocol {config.protocol}."])


def of_counts(task: str, counts: Mapping[str, Sequence[int]], note: str) -> Table:
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


def performance(config: Config, test: Scores, out: RunDir, note: str) -> Table:
    """Fig. 5, 9 or 11: the main row on validation and test split."""
    figure, *papers = PUBLISHED.performance.get(config.task, ("Test", None, None))
    if config.synthetic_cells or config.main != CVM:
        papers = [None, None]
    validation = None
    if out.validation_predictions.exists():
        validation = scores(classification.summary(predictions.read(out.validation_predictions), seed=config.seed))
    rows = [_scored("Validation", config.main, papers[0], validation), _scored("Test", config.main, papers[1], test)]
    return table(figure, f"Performance of {_name(config.main)}", SCORES.values(), rows, note)


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
        cost["milliseconds"],
    ]
    rows = [line(name, network, PUBLISHED.times if published else None, times)]
    columns, unit = ["Epoch", "Training", "Test image"], "seconds, of an image milliseconds"
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


def check_reference_run(config: Config) -> None:
    """Raise `InputError` unless `config.reference_run` is a run of the other protocol, task and main row alike."""
    if config.reference_run is None:
        return
    where, other = f"--reference-run {config.reference_run}", read_json(RunDir(config.reference_run).config)
    for name in ("task", "main"):
        if other.get(name) != getattr(config, name):
            raise InputError(f"{where}: its {name} is {other.get(name)}, not {getattr(config, name)}")
    if other.get("protocol") == config.protocol:
        raise InputError(f"{where}: is {config.protocol} too; give a run of the other protocol")


def leak(config: Config, reference: RunDir, row: study.Row, out: RunDir, note: str) -> Table:
    """Not in the paper: test accuracy of both protocols, and by how many points the random split's is higher."""
    other = read_json(reference.config)
    runs = {config.protocol: out, other["protocol"]: reference}
    results = {protocol: study.result_dir(config, run, row) for protocol, run in runs.items()}
    published, free = (predictions.read(results[name].predictions) for name in ("as_published", "leak_free"))
    rows = [
        line("as_published: at random", row.network, None, [_accuracy(results["as_published"])]),
        line("leak_free: by group", row.network, None, [_accuracy(results["leak_free"])]),
        line("Difference, points", row.network, None, [difference(published, free, config.seed)]),
    ]
    optimizer = other.get("optimizer") or other["optimizer"]  # the latter in runs of earlier versions
    pixels = f"{other['images']['height']} x {other['images']['width']} pixels"
    note += f" Reference run: {reference.root.name}, {pixels}, {optimizer['epochs']} epochs."
    return table("Leak", f"What a random split adds to the accuracy of {_name(row.network)}", ["Acc"], rows, note)


def difference(published: Predictions, free: Predictions, seed: int) -> Measured:
    """By how many points the accuracy of `published` is above that of `free`.

    Of the same images (two cross-validations) it is paired: whole groups of `free` are
    resampled. Of two test splits either one's groups are resampled on their own.
    """
    if set(published.table["id"]) == set(free.table["id"]):
        same_rows = predictions.from_rows(free.table, published.of(free.table["id"]).probabilities, free.classes)
        compared = comparison.compare({"as_published": same_rows, "leak_free": free}, seed=seed)["pairs"][0]
        return per_cent({**compared["difference"], "method": f"paired {compared['difference']['method']}"})
    return per_cent(asdict(comparison.independent_difference(published, free, seed=seed)))


def _name(network: str) -> str:
    return {**NAMES, PROBE.name: "the probe"}.get(network, network)


def _scored(name: str, row: str, paper: Sequence[float] | None, ours: Scores | None) -> Row:
    return line(name, row, paper, [ours[score] for score in SCORES] if ours else None)
