"""The curves of the study as tables, a share of the labels a column, and their paired differences; percent, points."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np

from cervix_tf.data.groups import groups_of
from cervix_tf.data.manifest import Manifest
from cervix_tf.metrics import predictions
from cervix_tf.report.tables import COUNTS, Measured, Row, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir
from cervix_tf.study.data import Splits
from experiments.label_efficiency import data, measures
from experiments.label_efficiency.config import (
    NUMBERS,
    PROBES,
    PUBLISHED,
    SCORES,
    Config,
    DataSet,
    Initialization,
    Probe,
    Score,
    finished,
    initializations,
    result_dir,
    row_of,
)
from experiments.label_efficiency.measures import Pooled

DATA_NAMES: dict[DataSet, str] = {"sipakmed": "SIPaKMeD", "mobileodt": "MobileODT"}
NAMES: dict[Initialization, str] = {
    "random": "Random",
    "imagenet": "ImageNet",
    "simclr": "SimCLR",
    "federated": "Federated SimCLR",
}
PROBE_NAMES: dict[Probe, str] = {"linear": "linear evaluation", "knn": "kNN"}
SCORE_NAMES: dict[Score, str] = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
PAIRS: tuple[tuple[Initialization, Initialization], ...] = (
    ("imagenet", "random"),
    ("simclr", "random"),
    ("federated", "random"),
    ("simclr", "imagenet"),
    ("federated", "imagenet"),
    ("federated", "simclr"),
)

Found = dict[tuple[Initialization, Probe, int], dict[Score, Pooled]]
"""Initialization, probe and share of the labels -> scores."""


def of_run(config: Config, parts: dict[DataSet, Splits], out: RunDir) -> list[Table]:
    """The tables that what is finished allows; an initialization has a line when all its draws are."""
    made = [counts(config, parts)]
    for name in config.data_sets:
        if found := measured(config, name, out):
            of_set = [curves(config, name, probe, score, found) for probe in PROBES for score in SCORES[name]]
            of_set += [differences(config, name, probe, found) for probe in PROBES]
            numbered = zip(ascii_lowercase, of_set, strict=False)
            made += [Table({**each, "number": f"Table {NUMBERS[name]}{letter}"}) for letter, each in numbered]
    return made


def measured(config: Config, name: DataSet, out: RunDir) -> Found:
    """What is finished of a data set, pooled over the draws."""
    found: Found = {}
    for each in initializations(config):
        rows = {draw: row_of(name, each, draw) for draw in config.draws}
        if all(finished(config, out, row) for row in rows.values()):
            for probe in PROBES:
                for share in config.shares:
                    said = [
                        predictions.read(result_dir(out, row, draw, probe, share).predictions)
                        for draw, row in rows.items()
                    ]
                    found[each, probe, share] = measures.pooled(said, config.seed)
    return found


def note(config: Config) -> str:
    """How the numbers were made."""
    cells = "Synthetic cells, " if config.synthetic_cells else ""
    start = "ImageNet weights" if config.start == "imagenet" else "random weights"
    return (
        f"{cells}{config.network}, {config.images.height} x {config.images.width} pixels, frozen features; SimCLR from "
        f"{start}, {config.optimizer.epochs} epochs, federated as many rounds at {config.sites} sites. Mean over the "
        f"seeds {', '.join(map(str, config.draws))} of labels, initial weights and self-supervised learning, tested on "
        "the same images. Interval: resampled test groups and, with replacement, seeds; of so few seeds it is likely "
        "too narrow."
    )


def counts(config: Config, parts: dict[DataSet, Splits]) -> Table:
    """Images and groups that are tested, learned from without labels, and used with their labels."""
    rows: list[Row] = []

    def counted(name: DataSet, what: str, *several: Manifest) -> None:
        images, groups = (
            float(np.mean([count(each) for each in several]))
            for count in (len, lambda each: groups_of(each.rows, "path").nunique())
        )
        ours: list[Measured | None] = [{"value": images}, {"value": groups}]
        rows.append(line(f"{DATA_NAMES[name]}, {what}", name, None, ours))

    for name, each in parts.items():
        counted(name, "tested", each["test"])
        counted(name, "training, with or without a label", each["train"])
        used = [data.labeled(each["train"], config, draw) for draw in config.draws]
        for share in config.shares:
            counted(name, f"{share} % of the labels", *(of_draw[share] for of_draw in used))
    text = (
        "Group: cluster image (SIPaKMeD) or near-duplicates (MobileODT, which names no women). Labels: mean over the "
        f"seeds.{' The cells are synthetic.' if config.synthetic_cells else ''}"
    )
    return table("Data", "Images of each part", ["Images", "Groups"], rows, text, unit=COUNTS, spread="")


def curves(config: Config, name: DataSet, probe: Probe, score: Score, found: Found) -> Table:
    """A score of every initialization, a line each, with every share of the labels, a column each."""
    rows = []
    for each in initializations(config):
        at_shares = [found.get((each, probe, share)) for share in config.shares]
        ours = [per_cent(pooled[score].interval()) for pooled in at_shares if pooled]
        source = f"{name}-{each}"
        rows.append(line(NAMES[each], source, PUBLISHED.curves.get(source), ours or None))
    title = f"{DATA_NAMES[name]}: {SCORE_NAMES[score]} by share of labels, {PROBE_NAMES[probe]}"
    return table("", title, _columns(config), rows, note(config))


def differences(config: Config, name: DataSet, probe: Probe, found: Found) -> Table:
    """How far an initialization lies above another with the same labels, of each pair of them."""
    score, rows = SCORES[name][0], []
    for one, other in PAIRS:
        if {one, other} <= set(initializations(config)):
            pairs = [(found.get((one, probe, share)), found.get((other, probe, share))) for share in config.shares]
            ours = [per_cent(measures.difference(a[score], b[score])) for a, b in pairs if a and b]
            rows.append(line(f"{NAMES[one]} over {NAMES[other]}", f"{name}-{one}", None, ours or None))
    title = f"{DATA_NAMES[name]}: difference in {SCORE_NAMES[score]} by share of labels, {PROBE_NAMES[probe]}"
    return table("", title, _columns(config), rows, note(config), unit="points")


def _columns(config: Config) -> list[str]:
    return [f"{share} %" for share in config.shares]
