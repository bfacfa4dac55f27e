"""The matrix of the study and what stands beside it; percent but where a unit is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cervix_tf.data.groups import groups_of
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import COUNTS, Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from experiments.cross_dataset import transfer
from experiments.cross_dataset.config import (
    BLOCKS,
    CLASSES,
    PUBLISHED,
    Config,
    DataSet,
    Row,
    data_sets,
    every_row,
    local_dir,
    result_dir,
)
from experiments.cross_dataset.training import Parts

SCORES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
NAMES: dict[DataSet, str] = {
    "sipakmed": "SIPaKMeD",
    "herlev": "Herlev",
    "cric_crops": "CRIC",
    "iarc_colposcopy": "IARC colposcopy",
    "iarc_via": "IARC VIA",
}


def of_run(config: Config, parts: Parts, out: RunDir) -> list[Table]:
    """The tables that what is finished allows."""
    made = [counts(config, parts)]
    for number in BLOCKS:
        if any(_done(config, out, row) for row in block_rows(config, number)):
            made += [matrix(config, out, number, score) for score in SCORES]
            made += [losses(config, out, number), recalibration(config, out, number)]
    return made


def note(config: Config) -> str:
    """How the networks were made, in a sentence."""
    start = {"random": "random", "imagenet": "ImageNet"}.get(config.weights, "pre-trained")
    data = "Synthetic cells, " if config.synthetic_cells else ""
    return (
        f"{data}{config.network}, {config.images.height} x {config.images.width} pixels, {start} initial weights, "
        f"{config.optimizer.epochs} epochs, epoch kept by val_loss, at most {config.most_training_images} training "
        f"images, seed {config.seed}. Photographs: a case is a woman, the mean over her images after acetic acid."
    )


def block_rows(config: Config, number: int) -> list[Row]:
    """The networks of a table's block."""
    return [row for row in every_row(config).values() if row.data_set in BLOCKS[number].data_sets]


def counts(config: Config, parts: Parts) -> Table:
    """Images of each split, all and of each class, and groups of which none is in two splits."""
    rows = []
    for name, splits in parts.items():
        for part, images in splits.items():
            labels = Counter(images.rows["label"])
            found = [len(images), *(labels[each] for each in CLASSES), groups_of(images.rows, "path").nunique()]
            ours: list[Measured | None] = [{"value": each} for each in found]
            rows.append(line(f"{NAMES[name]}, {part}", name, None, ours))
    columns = ["Images", *(each.capitalize() for each in CLASSES), "Groups"]
    drawn = " The cells are synthetic." if config.synthetic_cells else ""
    text = f"Group: cluster image, field, sitting or woman; near-duplicates are one group.{drawn}"
    return table("Data", "Images of each split", columns, rows, text, unit=COUNTS, spread="")


def matrix(config: Config, out: RunDir, number: int, score: str) -> Table:
    """A score of every network, a line each, on the test cases of every data set, a column each."""
    columns = data_sets(config, BLOCKS[number])
    rows = []
    for row in block_rows(config, number):
        ours: list[Measured | None] | None = None
        if _done(config, out, row):
            ours = [per_cent(_metrics(config, out, row, name)["binary"]["metrics"][score]) for name in columns]
        name = NAMES[row.data_set] + (", normalized" if row.normalized else "")
        rows.append(line(name, row.name, PUBLISHED.matrix.get(row.name), ours))
    letter = "ab"[list(SCORES).index(score)]
    title = f"{BLOCKS[number].title}: {SCORES[score]} by data set trained on (lines) and tested on (columns)"
    return table(f"Table {number}{letter}", title, [NAMES[name] for name in columns], rows, note(config))


def losses(config: Config, out: RunDir, number: int) -> Table:
    """Distance of the domains beside the drop in balanced accuracy, with the images as they are and normalized."""
    rows = []
    for row, tested in pairs(config, out, number):
        ours = _loss(config, out, row, tested) + _loss(config, out, Row(row.data_set, normalized=True), tested)
        rows.append(line(_arrow(row, tested), row.name, None, ours))
    text = (
        " Distance: of the training images from the test images; within a data set it is what chance and other groups "
        "make. Drop: points of balanced accuracy below the network of the tested data set, as it is, on the same cases."
    )
    columns = ["Distance", "Drop", "Distance, normalized", "Drop, normalized"]
    title = f"{BLOCKS[number].title}: distance of the domains and drop in balanced accuracy"
    return table(f"Table {number}c", title, columns, rows, note(config) + text, unit="distance; points")


def recalibration(config: Config, out: RunDir, number: int) -> Table:
    """Balanced accuracy and calibration slope of every network elsewhere, before and after recalibration there."""
    rows = []
    for row, tested in pairs(config, out, number):
        if tested == row.data_set:
            continue
        found = transfer.recalibrated(
            _said(config, out, row, tested),
            predictions.read(local_dir(out, row, tested).predictions),
            cases=config.local_cases,
            draws=config.recalibrations,
            seed=config.seed,
        )
        ours = [per_cent(each) for name in ("balanced_accuracy", "slope") for each in found[name]]
        rows.append(line(_arrow(row, tested), row.name, None, ours))
    text = (
        f" Recalibrated: Platt scaling on {config.local_cases} cases of the tested data set, half of them positive, "
        "each of another group, none of a test case's group. Slope: 100 where probabilities are as extreme as they "
        "should be, below where they are too extreme."
    )
    columns = ["Balanced accuracy", "Recalibrated", "Calibration slope", "Slope, recalibrated"]
    title = f"{BLOCKS[number].title}: recalibrated on {config.local_cases} local cases"
    return table(f"Table {number}d", title, columns, rows, note(config) + text)


def pairs(config: Config, out: RunDir, number: int) -> Iterator[tuple[Row, DataSet]]:
    """Every finished network of images as they are, on each data set of its block, its own first."""
    for row in block_rows(config, number):
        if not row.normalized and _done(config, out, row):
            tested = data_sets(config, BLOCKS[number])
            yield from ((row, name) for name in sorted(tested, key=lambda name: name != row.data_set))


def _arrow(row: Row, tested: DataSet) -> str:
    return f"{NAMES[row.data_set]} → {NAMES[tested]}"


def _loss(config: Config, out: RunDir, row: Row, tested: DataSet) -> list[Measured | None]:
    """Distance and drop; None where a network that they need is not finished, or there is no drop by definition."""
    if not _done(config, out, row):
        return [None, None]
    distance = _metrics(config, out, row, tested)["distance"]
    own = Row(tested)
    if row.data_set == tested or not _done(config, out, own):
        return [distance, None]
    found = transfer.drop(_said(config, out, own, tested), _said(config, out, row, tested), config.seed)
    return [distance, per_cent(found)]


def _done(config: Config, out: RunDir, row: Row) -> bool:
    return result_dir(config, out, row).metrics.exists()


def _said(config: Config, out: RunDir, row: Row, tested: DataSet) -> Predictions:
    return predictions.read(result_dir(config, out, row, tested).predictions)


def _metrics(config: Config, out: RunDir, row: Row, tested: DataSet) -> dict[str, Any]:
    return read_json(result_dir(config, out, row, tested).metrics)
