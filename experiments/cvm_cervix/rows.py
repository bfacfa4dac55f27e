"""The rows of the study, each a network and its training set; which of them a command wants, and how far they are."""

from __future__ import annotations

import csv
from typing import NamedTuple

from cervix_tf.cli import Asked, Listed
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from experiments.cvm_cervix.config import COMPARED, CVM, FOUR_TIMES, READINGS, Config


class Row(NamedTuple):
    """One network, and whether its training images stand four times in its training set."""

    network: str
    four_times: bool = False

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return self.network + (FOUR_TIMES if self.four_times else "")


PROBE = Row("probe")
"""Not in the paper: a logistic regression on the features that the main row's first weights give, untrained."""


def main(config: Config) -> Row:
    """The row that runs without --tables: CVM-Cervix in the paper, whose Herlev training set is augmented (Table 4)."""
    return Row(config.main, READINGS[config.task].four_times and config.main == CVM)


def epochs(config: Config, row: Row) -> int:
    """Epochs of a row's training."""
    return config.optimiser.epochs if row.network == config.main else config.compared_epochs or config.optimiser.epochs


def every(config: Config) -> list[Row]:
    """All rows, in the order of the tables; the main row first."""
    first = main(config)
    rest = [Row(CVM), *map(Row, COMPARED), Row(CVM, four_times=True), PROBE]  # Table 3, Fig. 7
    return [first, *(row for row in rest if row != first)]


def wanted(config: Config, asked: Asked) -> list[Row]:
    """The rows that a command runs: those it names, else all of Table 3 if it wants that, else the main row.

    Raises `InputError` for a row that there is not.
    """
    there = {row.name: row for row in every(config)}
    for name in (config.main, *asked.only):
        if name not in there and name != config.main + FOUR_TIMES:
            raise InputError(f"{name}: no such row; there are {', '.join(there)}")
    if asked.only:
        return [row for name, row in there.items() if name in asked.only]
    if 3 in asked.tables:
        return [
            main(config),
            *(row for row in every(config)[1:] if row.network != PROBE.network and not row.four_times),
        ]
    return [main(config)]


def place(config: Config, out: RunDir, row: Row) -> RunDir:
    """Where a row's predictions and metrics stand: the main row's in the run's own folder."""
    return out if row == main(config) else out.row(row.name)


def prefix(config: Config, fold: int) -> str:
    """What the folders of a fold's trainings begin with."""
    return f"fold-{fold}-" if config.folds > 1 else ""


def listed(config: Config, out: RunDir, asked: Asked) -> list[Listed]:
    """What `--list` prints: every row, where the paper has it, its state and its training time."""
    rows = wanted(config, asked) if asked.only or asked.tables else every(config)
    return [Listed(row.name, _shown(config, row), _state(config, out, row), _cost(config, out, row)) for row in rows]


def _shown(config: Config, row: Row) -> str:
    if row == PROBE:
        return "not in the paper"
    where = "Fig. 7" if row.four_times else "3"
    return where + (" (main model)" if row == main(config) else "")


def _state(config: Config, out: RunDir, row: Row) -> str:
    if place(config, out, row).metrics.exists():
        return "finished"
    done = len(_seconds(config, out, row))
    return f"{done} of {config.folds * epochs(config, row)} epochs" if done else "not begun"


def _cost(config: Config, out: RunDir, row: Row) -> str:
    """Training time by the epochs that are done; nothing is guessed."""
    if row == PROBE:
        return "forward passes only"
    count = config.folds * epochs(config, row)
    done = _seconds(config, out, row)
    return f"{sum(done) / len(done) * count / 60:.1f} min" if done else f"{count} epochs"


def _seconds(config: Config, out: RunDir, row: Row) -> list[float]:
    """Of every epoch that is done, all folds together."""
    found: list[float] = []
    for fold in range(config.folds):
        history = out.row(prefix(config, fold) + row.name).history
        if history.exists():
            with history.open(encoding="utf-8", newline="") as file:
                found += [float(line["seconds"]) for line in csv.DictReader(file)]
    return found
