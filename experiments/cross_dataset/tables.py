"""The matrix of the study and what stands beside it; percent but where a unit is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from cervix_tf.data.groups import groups_of
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import COUNTS, Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from experiments.cross_dataset import transfer
from experiments.cross_dataset.config import (
    BETHESDA,
    BINARY,
    BLOCKS,
    PUBLISHED,
    SOURCE,
    TYPES,
    Config,
    DataSet,
    Row,
    Task,
    block_rows,
    data_sets,
    local_dir,
    result_dir,
    same_kind,
)
from experiments.cross_dataset.data import Parts, labeled

SCORES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
NAMES: dict[DataSet, str] = {
    "sipakmed": "SIPaKMeD",
    "herlev": "Herlev",
    "cric_crops": "CRIC",
    "iarc_colposcopy": "IARC colposcopy",
    "iarc_via": "IARC VIA",
    "mobileodt": "MobileODT",
}


def of_run(config: Config, parts: Parts, out: RunDir, numbers: Sequence[int]) -> list[Table]:
    """The tables of these numbers that what is finished allows."""
    there = [n for n in numbers if any(_done(config, out, row) for row in block_rows(config, n))]
    made = [counts(config, parts, BINARY, "Data")]
    for number in there:
        if number == 3:
            made += [counts(config, parts, BETHESDA, "Data, Bethesda classes"), grades(config, out, number)]
        elif number == 4:
            made += [counts(config, parts, TYPES, "Data, pre-training"), pretraining(config, out, number)]
        else:
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
        f"images, seed {config.seed}. In photographs a case is a woman, the mean over her images after acetic acid."
    )


def counts(config: Config, parts: Parts, task: Task, number: str) -> Table:
    """Images of each split of the data sets that have all classes of a task, and groups of which none is in two."""
    rows = []
    for name, splits in parts.items():
        of_task = {part: labeled(images, task) for part, images in splits.items()}
        if not all(set(task.classes) <= set(images.rows["label"]) for images in of_task.values()):
            continue
        for part, images in of_task.items():
            labels = Counter(images.rows["label"])
            found = [len(images), *(labels[each] for each in task.classes), groups_of(images.rows, "path").nunique()]
            ours: list[Measured | None] = [{"value": each} for each in found]
            rows.append(line(f"{NAMES[name]}, {part}", name, None, ours))
    columns = ["Images", *map(_spelt, task.classes), "Groups"]
    drawn = " The cells are synthetic." if config.synthetic_cells else ""
    text = f"Group: cluster image, field, file-name group (Herlev) or woman; near-duplicates are one group.{drawn}"
    return table(number, "Images of each split", columns, rows, text, unit=COUNTS, spread="")


def matrix(config: Config, out: RunDir, number: int, score: str) -> Table:
    """A score of every network, a line each, on the test cases of every data set, a column each."""
    columns = data_sets(config, BLOCKS[number])
    rows = []
    for row in block_rows(config, number):
        ours: list[Measured | None] | None = None
        if _done(config, out, row):
            ours = [_score(config, out, row, name, score) for name in columns]
        name = NAMES[row.data_set] + (", normalized" if row.variant else "")
        rows.append(line(name, row.name, PUBLISHED.matrix.get(row.name), ours))
    letter = "ab"[list(SCORES).index(score)]
    title = f"{BLOCKS[number].title}: {SCORES[score]} by data set trained on (lines) and tested on (columns)"
    return table(f"Table {number}{letter}", title, [NAMES[name] for name in columns], rows, note(config))


def losses(config: Config, out: RunDir, number: int) -> Table:
    """Distance of the domains beside the drop in balanced accuracy, with the images as they are and normalized."""
    rows = []
    for row, tested in pairs(config, out, number):
        ours = _loss(config, out, row, tested) + _loss(config, out, Row(row.data_set, "reinhard"), tested)
        rows.append(line(_arrow(row, tested), row.name, None, ours))
    text = (
        " Distance: between training and test images; within one data set it is what chance and different groups "
        "cause. Drop: points of balanced accuracy below the tested data set's own network, without normalization, on "
        "the same cases."
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
        "each from a different group, none from a test case's group. Slope: 100 if probabilities are as extreme as "
        "they should be, lower if they are too extreme."
    )
    columns = ["Balanced accuracy", "Recalibrated", "Calibration slope", "Slope, recalibrated"]
    title = f"{BLOCKS[number].title}: recalibrated on {config.local_cases} local cases"
    return table(f"Table {number}d", title, columns, rows, note(config) + text)


def grades(config: Config, out: RunDir, number: int) -> Table:
    """Balanced accuracy, its drop, and the recall of each Bethesda class, of every network on every data set."""
    rows = []
    for row, tested in pairs(config, out, number):
        found = _metrics(config, out, row, tested)
        ours = [
            per_cent(found["metrics"]["balanced_accuracy"]),
            _drop(config, out, row, tested),
            *(per_cent(found["per_class"][name]["sensitivity"]) for name in BETHESDA.classes),
        ]
        rows.append(line(_arrow(row, tested), row.name, None, ours))
    text = (
        " Chance: a balanced accuracy of 33.3. Drop: points of balanced accuracy below the tested data set's own "
        "network, on the same cases. NILM: Herlev's normal cells. LSIL: its mild dysplasia. HSIL: its moderate and "
        "severe dysplasia and carcinoma in situ. ASC-US, ASC-H and SCC, which Herlev does not have, are left out."
    )
    columns = ["Balanced accuracy", "Drop", *(f"{name} found" for name in BETHESDA.classes)]
    title = f"{BLOCKS[number].title}: trained on one data set, tested on the other"
    return table(f"Table {number}", title, columns, rows, note(config) + text, unit="percent; points")


def pretraining(config: Config, out: RunDir, number: int) -> Table:
    """AUC and balanced accuracy of networks that have first learned MobileODT's types beside those that have not."""
    rows = []
    for row, tested in pairs(config, out, number):
        ours: list[Measured | None]
        if row.data_set == SOURCE:
            metrics = _metrics(config, out, row, tested)["metrics"]
            ours = [per_cent(metrics["macro_auc"]), None, None, per_cent(metrics["balanced_accuracy"]), None, None]
        elif _done(config, out, later := Row(row.data_set, SOURCE)):
            ours = []
            for score, statistic in transfer.STATISTICS.items():
                ours += [_score(config, out, each, tested, score) for each in (row, later)]
                one, other = (_said(config, out, each, tested) for each in (later, row))
                ours.append(per_cent(transfer.difference(one, other, config.seed, statistic)))
        else:
            ours = [_score(config, out, row, tested, "auc"), None, None]
            ours += [_score(config, out, row, tested, "balanced_accuracy"), None, None]
        rows.append(line(_arrow(row, tested), row.name, None, ours))
    text = (
        " MobileODT: three types of cervix; AUC is the mean of each against the others, and chance is 33.3 in balanced "
        "accuracy. After MobileODT: the network starts from the initial weights as trained on these types, except for "
        "its last layer. Gain: points above the network that starts from the initial weights, on the same cases."
    )
    columns = [f"{name}{what}" for name in ("AUC", "Balanced accuracy") for what in ("", " after MobileODT", ", gain")]
    return table(f"Table {number}", BLOCKS[number].title, columns, rows, note(config) + text, unit="percent; points")


def pairs(config: Config, out: RunDir, number: int) -> Iterator[tuple[Row, DataSet]]:
    """Every finished network of a block, but for those beside it, on each data set of its kind, its own first."""
    for row in block_rows(config, number):
        beside = row.variant in BLOCKS[number].variants[1:]
        if not beside and _done(config, out, row):
            tested = same_kind(config, row)
            yield from ((row, name) for name in sorted(tested, key=lambda name: name != row.data_set))


def _arrow(row: Row, tested: DataSet) -> str:
    return f"{NAMES[row.data_set]} → {NAMES[tested]}"


def _spelt(name: str) -> str:
    return name if name in BETHESDA.classes else name.replace("_", " ").capitalize()


def _loss(config: Config, out: RunDir, row: Row, tested: DataSet) -> list[Measured | None]:
    """Distance and drop; None where a network that they need is not finished, or there is no drop by definition."""
    if not _done(config, out, row):
        return [None, None]
    return [_metrics(config, out, row, tested)["distance"], _drop(config, out, row, tested)]


def _drop(config: Config, out: RunDir, row: Row, tested: DataSet) -> Measured | None:
    """None where the network of the tested data set is not finished, or is this one."""
    own = Row(tested, row.variant if row.task == BETHESDA else "")
    if row.data_set == tested or not _done(config, out, own):
        return None
    found = transfer.difference(_said(config, out, own, tested), _said(config, out, row, tested), config.seed)
    return per_cent(found)


def _score(config: Config, out: RunDir, row: Row, tested: DataSet, score: str) -> Measured:
    return per_cent(_metrics(config, out, row, tested)["binary"]["metrics"][score])


def _done(config: Config, out: RunDir, row: Row) -> bool:
    return result_dir(config, out, row).metrics.exists()


def _said(config: Config, out: RunDir, row: Row, tested: DataSet) -> Predictions:
    return predictions.read(result_dir(config, out, row, tested).predictions)


def _metrics(config: Config, out: RunDir, row: Row, tested: DataSet) -> dict[str, Any]:
    return read_json(result_dir(config, out, row, tested).metrics)
