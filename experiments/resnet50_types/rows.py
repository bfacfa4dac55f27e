"""The rows of the study, one a protocol; which of them a command wants, and how far they are."""

from __future__ import annotations

import csv

from cervix_tf.cli import Asked, Listed
from cervix_tf.config import Protocol
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from experiments.resnet50_types.config import PROTOCOLS, Config


def wanted(asked: Asked) -> list[Protocol]:
    """The rows that a command runs: those it names, else both, since their difference is a result.

    Raises `InputError` for a row that there is not.
    """
    for name in asked.only:
        if name not in PROTOCOLS:
            raise InputError(f"--only {name}: no such row; there are {', '.join(PROTOCOLS)}")
    return [protocol for protocol in PROTOCOLS if not asked.only or protocol in asked.only]


def place(config: Config, out: RunDir, protocol: Protocol) -> RunDir:
    """Where a row's predictions and metrics stand: the deployed row's in the run's own folder."""
    return out if protocol == config.deployed else out.row(protocol)


def listed(config: Config, out: RunDir, asked: Asked) -> list[Listed]:
    """What `--list` prints: both rows, where the paper has them, their state and their training time."""
    found = []
    for protocol in wanted(asked):
        seconds = _seconds(out.row(protocol))
        epochs = config.descent.epochs
        state = f"{len(seconds)} of {epochs} epochs" if seconds else "not begun"
        if place(config, out, protocol).metrics.exists():
            state = "finished"
        cost = f"{sum(seconds) / len(seconds) * epochs / 60:.1f} min" if seconds else f"{epochs} epochs"
        main = " (deployed)" if protocol == config.deployed else ""
        found.append(Listed(protocol, f"1 2{main}", state, cost))
    return found


def _seconds(out: RunDir) -> list[float]:
    if not out.history.exists():
        return []
    with out.history.open(encoding="utf-8", newline="") as file:
        return [float(line["seconds"]) for line in csv.DictReader(file)]
