"""The rows of a study's tables: which of them a command wants, how far each is, and what it costs.

A row is one trained network (at times only an evaluated one) of a study, with a line in one or more of the paper's
tables and a folder of its own, `rows/<row>/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cervix_tf.errors import InputError
from cervix_tf.progress import duration
from cervix_tf.run_dir import RunDir
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from cervix_tf.study.command import RunRequest

R = TypeVar("R")


class RowStatus(NamedTuple):
    """One line of `--list`."""

    row: str
    tables: str
    state: str
    cost: str


def selected(available: Mapping[str, R], request: RunRequest, default: Iterable[str]) -> list[R]:
    """The rows that a command runs, in the order of `available`: those of `--only`, else `default`.

    Raises `InputError` for an unknown row.
    """
    for name in request.only:
        if name not in available:
            raise InputError(f"--only {name}: no such row; choose from {', '.join(available)}")
    names = set(request.only or default)
    return [row for name, row in available.items() if name in names]


def unfinished(rows: Iterable[R], result_dir: Callable[[R], RunDir]) -> list[R]:
    """Those of `rows` whose metrics, the last thing that is written of a row, are not there yet."""
    return [row for row in rows if not result_dir(row).metrics.exists()]


def fold_prefix(folds: int, fold: int) -> str:
    """What the folders of a fold's trainings begin with; nothing where there is one split."""
    return f"fold-{fold}-" if folds > 1 else ""


def trainings(name: str, folds: int = 1) -> list[str]:
    """The folders of a row's trainings, one per fold."""
    return [fold_prefix(folds, fold) + name for fold in range(folds)]


def status(
    out: RunDir, name: str, tables: str, *, finished: bool, trained_in: Sequence[str], epochs: int, estimate: str = ""
) -> RowStatus:
    """How far a row is that trains `epochs` epochs in each of the folders `trained_in`, and what that costs.

    The cost is extrapolated from the epochs that are done; before the first it is `estimate`, or the number
    of epochs. With 0 epochs nothing is trained.
    """
    if not epochs:
        return RowStatus(name, tables, "finished" if finished else "not begun", "forward passes only")
    done = [each for training in trained_in for each in seconds(out.row(training))]
    total = epochs * len(trained_in)
    state = "finished" if finished else f"{len(done)} of {amount(total, 'epoch')}" if done else "not begun"
    cost = duration(sum(done) / len(done) * total) if done else estimate or amount(total, "epoch")
    return RowStatus(name, tables, state, cost)


def seconds(training: RunDir) -> list[float]:
    """What each epoch of a training took, of those that are done."""
    if not training.history.exists():
        return []
    from cervix_tf import history_file

    history = history_file.read(training.history)
    if "seconds" not in history:
        raise InputError(f"{training.history}: has no column seconds; restore it, or train again")
    return [float(each) for each in history["seconds"]]
