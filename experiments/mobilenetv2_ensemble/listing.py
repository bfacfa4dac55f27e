"""What `--list` prints: the rows, which tables need them, how far they are and what they cost."""

from __future__ import annotations

import csv
import re

from cervix_tf.cli import Asked, Listed
from cervix_tf.run_dir import RunDir, read_json
from experiments.mobilenetv2_ensemble import rows
from experiments.mobilenetv2_ensemble.config import VIEWS, Config, Images
from experiments.mobilenetv2_ensemble.rows import ALL_TYPES, CASES, MAIN, TABLES, Row
from experiments.mobilenetv2_ensemble.schedule import images_of, optimiser_of
from experiments.mobilenetv2_ensemble.tables import TABLE_7

_BACKWARD = 2.0  # in forward passes: one for the maps' gradients, one for the weights'
_PAPER_VISITS = 429  # sec. 3.1: 3003 training images, seven a visit


def listed(config: Config, out: RunDir, asked: Asked) -> list[Listed]:
    """One line a row of the tables (of all, unless some are asked for)."""
    wanted = rows.wanted(config, asked.tables or tuple(TABLES), asked.only)
    return [Listed(row.name, _tables(row), _state(config, out, row), _cost(config, out, row)) for row in wanted]


def _tables(row: Row) -> str:
    found = [str(number) for number, names in TABLES.items() if row.name in names]
    return " ".join(found) + (" (main model)" if row.name in MAIN else "")


def _state(config: Config, out: RunDir, row: Row) -> str:
    if _finished(out, row):
        return "finished"
    done = _epochs(config, out, row)
    if not done:
        return "not begun"
    return f"{len(done)} of {optimiser_of(config, row).epochs * config.folds} epochs"


def _finished(out: RunDir, row: Row) -> bool:
    return (out if row.name == "ensemble" else out.row(row.name)).metrics.exists()


def _cost(config: Config, out: RunDir, row: Row) -> str:
    """Training time: from the epochs that are done, else estimated ("about") from a forward pass on two CPU cores."""
    if row.stage in ("time", "probe", "checkpoint"):
        return "forward passes only"
    done = _epochs(config, out, row)
    epochs = optimiser_of(config, row).epochs * config.folds
    if done:
        return _minutes(sum(done) / len(done) * epochs)
    images = images_of(config, row)
    usual = Images(height=224, width=298)
    scale = images.height * images.width / (usual.height * usual.width)
    passes = epochs * (1 + _BACKWARD)
    if row.stage == "ensemble":  # the fixed trunks are run once a copy
        passes = min(config.feature_copies, config.ensemble.epochs) * config.folds
    if not row.backbone:
        scale *= config.network.alpha
    return f"about {_minutes(_forward(out, row) * scale * passes * _inputs(config, out, row))}"


def _epochs(config: Config, out: RunDir, row: Row) -> list[float]:
    """Seconds of every epoch that is done."""
    prefixes = [f"fold-{fold}-" for fold in range(config.folds)] if config.folds > 1 else [""]
    found = []
    for prefix in prefixes:
        path = out.row(prefix + row.name).history
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                found += [float(line["seconds"]) for line in csv.DictReader(file)]
    return found


def _forward(out: RunDir, row: Row) -> float:
    """Seconds of the published network's forward pass: as this run measured it, else as the paper's Table 7 has it."""
    name = f"time-{row.backbone or ('ensemble' if row.images == CASES else 'tuned')}"
    path = out.row(name).metrics
    if path.exists():
        return read_json(path)["milliseconds"]["value"] / 1000
    return next(paper[0] for _, timed, paper in TABLE_7 if timed == name) / 1000


def _inputs(config: Config, out: RunDir, row: Row) -> float:
    """Training inputs of an epoch."""
    share = 1.0 if config.protocol == "as_published" else 1 - config.validation_share
    if out.manifest.exists():
        with out.manifest.open(encoding="utf-8", newline="") as file:
            there = [line for line in csv.DictReader(file) if line["split"] == "train"]
        if row.images == CASES:
            return len({line["case"] for line in there})
        kinds = [re.sub(r"_\d+$", "", line["view"]) for line in there]
        return len(kinds) if row.images == ALL_TYPES else kinds.count(row.images)
    visits = 0.75 * config.synthetic_visits if config.synthetic_visits else _PAPER_VISITS
    a_visit = {CASES: 1, ALL_TYPES: len(VIEWS)}.get(row.images) or sum(view.startswith(row.images) for view in VIEWS)
    return share * visits * a_visit


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
