"""The rows of the study, one a network and method; which of them a command wants, and how far they are."""

from __future__ import annotations

import csv
from typing import NamedTuple

from cervix_tf.cli import Asked, Listed
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from experiments.metric_learning.config import METHODS, TABLES, Config


class Row(NamedTuple):
    """One network and the method that its embeddings come from."""

    network: str
    method: str

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return f"{self.network}-{self.method}"


def every(config: Config) -> list[Row]:
    """All rows, in the order of the tables."""
    return [Row(network, method) for network in config.networks for method in METHODS]


def wanted(config: Config, asked: Asked) -> list[Row]:
    """The rows that a command runs: those it names, else all if it wants tables, else the paper's best.

    Tables 7 and 8 need all rows too, since what they show is the row that is best on val2.
    Raises `InputError` for a row that there is not.
    """
    there = {row.name: row for row in every(config)}
    unknown = [name for name in asked.only if name not in there]
    if unknown:
        raise InputError(f"--only {unknown[0]}: no such row; there are {', '.join(there)}")
    if asked.only:
        return [row for name, row in there.items() if name in asked.only]
    return list(there.values()) if asked.tables else [Row(config.main, "batch_hard")]


def classifier(network: str) -> str:
    """Name of the folder of the fine-tuned network's own classification."""
    return f"{network}-classifier"


def listed(config: Config, out: RunDir, asked: Asked) -> list[Listed]:
    """What `--list` prints: every row, the tables that show it, its state and its training time."""
    main = Row(config.main, "batch_hard")
    rows = wanted(config, asked) if asked.only or asked.tables else every(config)
    return [
        Listed(
            row.name,
            f"{min(TABLES)} to {max(TABLES)}" + (" (main model)" if row == main else ""),
            _state(config, out.row(row.name), row),
            _cost(config, out.row(row.name), row),
        )
        for row in rows
    ]


def _state(config: Config, out: RunDir, row: Row) -> str:
    if out.embeddings.exists():
        return "finished"
    done = len(_seconds(out))
    return f"{done} of {_epochs(config, row)} epochs" if done else "not begun"


def _cost(config: Config, out: RunDir, row: Row) -> str:
    """Training time by the epochs that are done; nothing is guessed."""
    if row.method == "pretrained":
        return "forward passes only"
    done = _seconds(out)
    if not done:
        return f"{_epochs(config, row)} epochs"
    return f"{sum(done) / len(done) * _epochs(config, row) / 60:.1f} min"


def _epochs(config: Config, row: Row) -> int:
    return config.optimiser(row.method).epochs


def _seconds(out: RunDir) -> list[float]:
    if not out.history.exists():
        return []
    with out.history.open(encoding="utf-8", newline="") as file:
        return [float(line["seconds"]) for line in csv.DictReader(file)]
