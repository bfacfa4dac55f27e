"""Tables, figures' numbers, model card and report from what was measured; the difference that a leak makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix_tf.cli import Asked
from cervix_tf.errors import InputError
from cervix_tf.evaluate import intervals, metrics, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.report.tables import Measured, Table
from cervix_tf.run_dir import RunDir, read_json
from experiments.cvm_cervix import evaluation, rows, tables
from experiments.cvm_cervix.config import CVM, READINGS, TITLE, Config
from experiments.cvm_cervix.data import PARTS, Parts, described
from experiments.cvm_cervix.rows import PROBE, Row


def conclude(config: Config, asked: Asked, folds: list[Parts], out: RunDir) -> None:
    """Write tables, model card and report; print what a reader wants to know first."""
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed

    found = of_run(config, asked, folds, out)
    printed.write(out.tables, found)
    printed.console(found)
    if out.contract.exists():
        model_card.write(out)
    report = page.run(out)
    print(f"{TITLE}\nrun {out.root}\nreport {report}")
    if out.saved_model.exists():
        print(f"SavedModel {out.saved_model}\nTFLite {out.tflite()}")


def of_run(config: Config, asked: Asked, folds: list[Parts], out: RunDir) -> list[Table]:
    """The tables that what is finished allows, the paper's first."""
    classes, chief = tuple(READINGS[config.task].classes), rows.main(config)
    note = noted(config)
    published = not config.synthetic_cells
    finished = {row: scores(read_json(file)) for row in rows.every(config)
                if (file := rows.place(config, out, row).metrics).exists()}  # fmt: skip
    counts = counted(folds[0], classes, chief.four_times)
    made = [tables.of_split(config.task, classes, counts, _counts_note(config, chief, folds))]
    if chief in finished:
        validation = None
        if out.validation_predictions.exists():
            validation = scores(metrics.summary(predictions.read(out.validation_predictions), seed=config.seed))
        ours = published and config.main == CVM
        made.append(tables.performance(config.task, chief.network, validation, finished[chief], ours, note))
    if config.task == "combined" and (3 in asked.tables or len(finished) > 1):
        plain = {row.network: each for row, each in finished.items() if not row.four_times}
        made.append(tables.of_rows(plain, published, note))
    copied = {row.four_times: each for row, each in finished.items() if row.network == CVM}
    if config.task == "combined" and True in copied:
        made.append(tables.four_times(copied, published, note))
    if chief in finished:
        made += of_main(config, chief, finished[chief], out, note)
    if PROBE in finished:
        made.append(tables.probe(config.main, finished[PROBE], note))
    if config.beside is not None:
        there = RunDir(config.beside)
        made += [
            leak(config, there, row, out, note) for row in finished if rows.place(config, there, row).metrics.exists()
        ]
    return made


def of_main(config: Config, chief: Row, found: Mapping[str, Measured], out: RunDir, note: str) -> list[Table]:
    """What is measured of the main row alone: time, 16-bit weights, mirrored test images, and the leak."""
    ours, cost = config.task == "combined" and config.main == CVM, read_json(out.cost)
    half = scores(read_json(out.row(chief.name + evaluation.SIXTEEN_BITS).metrics))["accuracy"]
    sizes = {int(bits): size for bits, size in cost["mebibytes"].items()}
    made = [
        tables.times(chief.network, _times(config, chief, cost, out), ours, note),
        tables.weights(chief.network, sizes, {32: found["accuracy"], 16: half}, ours, note),
    ]
    mirrored = out.row(chief.name + evaluation.FLIPS).metrics
    if mirrored.exists():
        both = {"As it is": found["accuracy"], "Mean of four mirrorings": scores(read_json(mirrored))["accuracy"]}
        made.append(tables.flips(both, chief.network, note))
    return made


def check_beside(config: Config) -> None:
    """Raise `InputError` unless `config.beside` is a finished run of the other protocol, task and main row alike."""
    if config.beside is None:
        return
    there = RunDir(config.beside)
    other = read_json(there.config)
    for name in ("task", "main"):
        if other.get(name) != getattr(config, name):
            raise InputError(f"--beside {there.root}: its {name} is {other.get(name)}, not {getattr(config, name)}")
    if other.get("protocol") == config.protocol:
        raise InputError(f"--beside {there.root}: is {config.protocol} too; give a run of the other protocol")


def leak(config: Config, there: RunDir, row: Row, out: RunDir, note: str) -> Table:
    """The test accuracy of a row in this run and in the other protocol's, and their difference with its interval."""
    other = read_json(there.config)
    runs = {config.protocol: rows.place(config, out, row), other["protocol"]: rows.place(config, there, row)}
    said = {protocol: predictions.read(run.predictions) for protocol, run in runs.items()}
    accuracy = {protocol: scores(read_json(run.metrics))["accuracy"] for protocol, run in runs.items()}
    found = difference(said["as_published"], said["leak_free"], config.seed)
    where = (
        f" Beside: {there.root.name}, {other['images']['height']} x {other['images']['width']} pixels, "
        f"{other['optimiser']['epochs']} epochs."
    )
    return tables.leak(accuracy["as_published"], accuracy["leak_free"], found, row.network, note + where)


def difference(published: Predictions, free: Predictions, seed: int) -> Measured:
    """By how many points the accuracy of `published` is above that of `free`.

    Of the same images (two cross-validations) it is paired: whole groups of `free` are
    resampled. Of two test parts either side's groups are drawn independently.
    """
    right = [(said.decisions == said.labels).astype(float) for said in (published, free)]
    if set(published.table["id"]) == set(free.table["id"]):
        of_image = dict(zip(published.table["id"], right[0], strict=True))
        right[0] = np.array([of_image[name] for name in free.table["id"]])
        drawn = _means(free, right[0] - right[1], seed)
        how = f"paired cluster bootstrap 95%, {len(set(free.groups))} groups"
    else:
        drawn = _means(published, right[0], seed) - _means(free, right[1], seed + 1)
        groups = [len(set(said.groups)) for said in (published, free)]
        how = f"two independent cluster bootstraps 95%, {groups[0]} and {groups[1]} groups"
    low, high = np.quantile(drawn, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2])
    value = float(right[0].mean() - right[1].mean())
    return {
        "value": 100 * value,
        "low": 100 * float(low),
        "high": 100 * float(high),
        "n": len(free),
        "method": f"{how}, {len(drawn)} resamples",
    }


def _means(said: Predictions, values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The mean of one value a row in every resample of whole groups."""

    def mean(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"": weights @ values / weights.sum(1)}

    return intervals.cluster_bootstrap(said.groups, mean, seed=seed)[""]


def scores(found: Mapping[str, Any]) -> dict[str, Measured]:
    """The numbers of Table 3 out of a metrics.json, in per cent."""
    measured: dict[str, Measured] = {}
    for name in tables.SCORES:
        one = found["metrics"][name]
        value, low, high = (None if one[key] is None else 100 * one[key] for key in ("value", "low", "high"))
        measured[name] = {"value": value, "low": low, "high": high, "n": one["n"], "method": one["method"]}
    return measured


def counted(parts: Parts, classes: tuple[str, ...], four_times: bool) -> dict[str, list[int]]:
    """Class -> images in train, validation and test; a training set that stands there four times counts four times."""
    found = {}
    for name in classes:
        found[name] = [int((parts[part].rows["label"] == name).sum()) for part in PARTS]
        found[name][0] *= 4 if four_times else 1
    return found


def noted(config: Config) -> str:
    """How our numbers were made, in a sentence."""
    splits = {"as_published": "split at random by class (as_published)", "leak_free": "split by group (leak_free)"}
    how = splits[config.protocol] + (f", {config.folds}-fold cross-validation" if config.folds > 1 else "")
    if config.protocol == "leak_free" and config.similar:
        how += ", near-duplicates joined"
    start = {"random": "random", "imagenet": "ImageNet"}.get(config.weights, "pre-trained")
    compared = f" ({config.compared_epochs} of the networks compared with)" if config.compared_epochs else ""
    return (
        f"Ours: {described(config)}, {config.images.height} x {config.images.width} pixels, {start} first weights, "
        f"{config.optimiser.epochs} epochs{compared}, {how}, epoch chosen by {config.criterion}, seed {config.seed}."
    )


def _counts_note(config: Config, chief: Row, folds: list[Parts]) -> str:
    said = ["Ours: the first fold."] if len(folds) > 1 else []
    if chief.four_times:
        said.append("The training set stands there four times, as in the paper.")
    elif READINGS[config.task].four_times:
        said.append("The paper's training set is augmented four times, ours is not.")
    return " ".join([*said, f"Ours: {described(config)}, protocol {config.protocol}."])


def _times(config: Config, chief: Row, cost: Mapping[str, Any], out: RunDir) -> list[Measured | None]:
    """Seconds of an epoch and of all epochs of the first fold, milliseconds of a forward pass."""
    seconds = pd.read_csv(out.row(rows.prefix(config, 0) + chief.name).history)["seconds"]
    low, median, high = (float(value) for value in np.percentile(seconds, [5, 50, 95]))
    epoch: Measured = {"value": median, "low": low, "high": high, "n": len(seconds), "method": "median of the epochs"}
    whole: Measured = {"value": float(seconds.sum()), "n": 1, "method": "sum of the epochs, validation included"}
    return [epoch, whole, cost["milliseconds"]]
