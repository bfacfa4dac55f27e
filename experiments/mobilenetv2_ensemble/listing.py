"""What `--list` prints: the rows of the study, how far each is, and what it costs."""

from __future__ import annotations

import csv
from dataclasses import replace

from cervix_tf.progress import duration
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import RunRequest
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus
from experiments.mobilenetv2_ensemble import config as study
from experiments.mobilenetv2_ensemble.config import (
    ALL_TYPES,
    ANY_VIEWS,
    CASES,
    FORWARD_MS,
    MAIN,
    TABLES,
    VIEWS,
    Config,
    Row,
)

_WHOLE_CASES = (CASES, ANY_VIEWS)
PAPER_VISITS = 429  # sec. 3.1: 3003 training images, seven a visit


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints: the rows that a command runs (of all tables, if it names none), their state and cost."""
    listed = []
    for row in study.wanted(config, replace(request, tables=request.tables or tuple(TABLES))):
        tables = " ".join(str(number) for number, names in TABLES.items() if row.name in names)
        trained = row.stage not in ("checkpoint", "probe", "time")
        listed.append(
            study_rows.status(
                out,
                row.name,
                f"{tables} (main model)" if row.name in MAIN else tables,
                finished=study.result_dir(out, row.name).metrics.exists(),
                trained_in=study_rows.trainings(row.name, config.folds),
                epochs=config.optimizer_of(row).epochs if trained else 0,
                estimate=_estimate(config, out, row) if trained else "",
            )
        )
    return listed


def _estimate(config: Config, out: RunDir, row: Row) -> str:
    known = out.manifest.exists() or config.synthetic_visits
    return f"about {duration(_seconds(config, out, row))}" + ("" if known else f" for {PAPER_VISITS} visits")


def _seconds(config: Config, out: RunDir, row: Row) -> float:
    """An estimate of a training, from the published network's forward pass on two CPU cores.

    As this run measured it, else as the paper did; the backward pass takes as long as two forward ones.
    """
    timed = f"time-{row.backbone or ('ensemble' if row.images in _WHOLE_CASES else 'tuned')}"
    measured = out.row(timed).metrics
    forward = read_json(measured)["milliseconds"]["value"] if measured.exists() else FORWARD_MS[timed]
    usual, images = Config().images, config.images_of(row)
    size = images.height * images.width / (usual.height * usual.width) * (1 if row.backbone else config.network.alpha)
    passes = 3 * config.optimizer_of(row).epochs
    if row.stage in ("ensemble", "fine_tuning"):  # forward only, through trunks that are fixed, once a copy
        passes = min(config.feature_copies, config.optimizer_of(row).epochs)
    return forward / 1000 * size * passes * config.folds * _training_inputs(config, out, row)


def _training_inputs(config: Config, out: RunDir, row: Row) -> int:
    """Inputs of an epoch: as the run's manifest has them, else about as many as its visits will give."""
    if out.manifest.exists():
        with out.manifest.open(encoding="utf-8", newline="") as file:
            train = [(line["case"], line["view"]) for line in csv.DictReader(file) if line["split"] == "train"]
    else:
        visits = 0.75 * config.synthetic_visits or PAPER_VISITS
        share = 1.0 if config.protocol == "as_published" else 1 - config.validation_share
        train = [(str(visit), view) for visit in range(round(share * visits)) for view in VIEWS]
    if row.images in _WHOLE_CASES:
        return len({case for case, _ in train})
    return sum(row.images == ALL_TYPES or view.startswith(row.images) for _, view in train)
