"""What a training has on disk so that a kill, a power failure or a damaged file loses one epoch (or round) at most.

While a network trains, `checkpoints/` holds the states after the last two epochs, `epoch-<n>.npz`, and the best
weights, one file a criterion; where the last epoch replaced these, also those before, so that the state before has its
own. A finished training leaves the best weights and `finished.json`. States and that file hold the history so far and
the digests of the best weights: a history.csv or weights that are not of the same training are noticed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cervix_tf import atomic, history_file
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json


class Restored(NamedTuple):
    """A training as far as it got."""

    history: pd.DataFrame
    arrays: dict[str, np.ndarray] | None
    """Of the newest state; None where none is needed any more, since training has ended."""


class EpochStates:
    """The states of one training. An epoch counts once its state is on the disk; the one before stays until then."""

    def __init__(self, out: RunDir, best: Mapping[str, Path], unit: str = "epoch") -> None:
        """`best`: where the best weights in each criterion go; `unit`: what a line of the history is."""
        self.out, self.paths, self.unit = out, best, unit
        self.best: dict[str, dict[str, Any]] = {}
        """Epoch and sha256 of the best weights in each criterion."""
        self._before = self.best

    def restore(self) -> Restored | None:
        """The newest whole state; None where nothing was trained yet.

        Where a newer one is damaged or missing, one line says so. Raises `InputError` when no state is whole, and
        when history.csv or the best weights are not those of the state.
        """
        there = self._there()
        if self.out.finished_training.exists():
            record, about, arrays, lost = self.out.finished_training, read_json(self.out.finished_training), None, ""
        elif newest := self._newest():
            record, about, arrays, lost = newest
        elif there is not None:  # of a version without records, if it is whole
            return Restored(history_file.parse(there, self.out.history), None)
        else:
            return None
        fits = isinstance(about, dict) and about.keys() == {"history", "best"}
        if not fits or set(about["best"]) not in (set(), set(self.paths)):
            raise InputError(f"{record}: belongs to another training; {self._remedy}")
        history = history_file.parse(about["history"], record)
        if there != about["history"]:
            lost = self._reconciled(there, history, about["history"], record, lost)
        self._check_best(about["best"], record)
        self.best = self._before = about["best"]
        if lost:
            print(f"warning: {lost}; training continues after {self.unit} {len(history)}", file=sys.stderr, flush=True)
        if arrays is None:
            self.clear()
        return Restored(history, arrays)

    def keep_best(self, criterion: str, epoch: int, save: Callable[[Path], None]) -> None:
        """Let `save` write the weights that are now best; those before stay as long as a state needs them."""
        path = self.paths[criterion]
        if criterion in self.best:
            path.replace(self._retained(criterion, self.best[criterion]["epoch"]))
        with atomic.replacing(path) as part:
            save(part)
        self.best = {**self.best, criterion: {"epoch": epoch, "sha256": _digest(path)}}

    def keep(self, history: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the state after the last epoch of `history`, then history.csv; remove the state before the last two."""
        epoch, text = len(history), history_file.as_text(history)
        write_state(self.state(epoch), arrays, {"history": text, "best": self.best})
        atomic.write_text(self.out.history, text)
        self._remove(range(epoch - 1, epoch + 1))
        self._before = self.best

    def finish(self, history: pd.DataFrame) -> None:
        """Write down that training has ended, and remove what only going on needs."""
        text = history_file.as_text(history)
        write_json(self.out.finished_training, {"history": text, "best": self.best})
        atomic.write_text(self.out.history, text)
        self.clear()

    def clear(self) -> None:
        """Remove what only going on needs."""
        self._remove(range(0))

    def state(self, epoch: int) -> Path:
        """The state after an epoch."""
        return self.out.checkpoints / f"{self.unit}-{epoch}.npz"

    def _states(self) -> dict[int, Path]:
        found = {path.stem.rpartition("-")[2]: path for path in self.out.checkpoints.glob(f"{self.unit}-*.npz")}
        return {int(epoch): path for epoch, path in found.items() if epoch.isdecimal()}

    @property
    def _remedy(self) -> str:
        return f"copy the run again as a whole, or remove {self.out.root} to train this network again"

    def _retained(self, criterion: str, epoch: int) -> Path:
        """Where the best weights of an epoch are once there are better ones."""
        path = self.paths[criterion]
        return path.with_name(f"{self.unit}-{epoch}-{path.name}")

    def _there(self) -> str | None:
        try:
            return self.out.history.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def _newest(self) -> tuple[Path, Any, dict[str, np.ndarray], str] | None:
        """Path, record and arrays of the newest whole state, and what is wrong with the one after it."""
        lost = ""
        for _, path in sorted(self._states().items(), reverse=True):
            try:
                return path, *read_state(path), lost
            except InputError as error:
                lost = lost or str(error)
        if lost:
            raise InputError(f"{lost}, and no earlier state is complete; {self._remedy}")
        return None

    def _reconciled(self, there: str | None, history: pd.DataFrame, text: str, record: Path, lost: str) -> str:
        """Make history.csv that of the record; what was lost of an epoch after it."""
        epoch = len(history)
        before = text[: text.rstrip("\n").rfind("\n") + 1] if epoch > 1 else None
        after = there is not None and there.startswith(text) and there.count("\n") == text.count("\n") + 1
        if after and record != self.out.finished_training:
            lost = lost or f"{self.state(epoch + 1)}: is missing"
        elif there != before:  # a kill leaves it one epoch behind
            raise InputError(
                f"{self.out.history}: is missing, damaged or not of the training in {record.name}; {self._remedy}"
            )
        atomic.write_text(self.out.history, text)
        return lost

    def _check_best(self, best: Mapping[str, Mapping[str, Any]], record: Path) -> None:
        """Raise `InputError` unless the best weights are those of the record; put those of an earlier epoch back."""
        for criterion, kept in best.items():
            path, epoch, wanted = self.paths[criterion], kept["epoch"], kept["sha256"]
            retained = self._retained(criterion, epoch)
            if path.is_file() and _digest(path) == wanted:
                continue
            if not (retained.is_file() and _digest(retained) == wanted):
                raise InputError(
                    f"{path}: is missing, damaged or not the weights of {self.unit} {epoch} in {record.name}; "
                    f"{self._remedy}"
                )
            retained.replace(path)

    def _remove(self, epochs: Container[int]) -> None:
        """Remove every state but those of `epochs`, and the best weights that these do not need."""
        needed = {self._retained(criterion, each["epoch"]) for criterion, each in self._before.items() if epochs}
        for epoch, path in self._states().items():
            if epoch not in epochs:
                path.unlink(missing_ok=True)
        for criterion in self.paths:
            for path in self.out.checkpoints.glob(self._retained(criterion, 0).name.replace("-0-", "-*-", 1)):
                if path not in needed:
                    path.unlink(missing_ok=True)


def finished(out: RunDir) -> bool:
    """Whether the training in the folder `out` has ended, so that its best weights are all that is needed of it."""
    return out.finished_training.exists()


def write_state(path: Path, arrays: Mapping[str, np.ndarray], about: Any = None) -> None:
    """Write arrays by their names and what is to be known of them, JSON, whole or not at all.

    A plain archive: Keras' weight files lack the counters of random layers and take ten times as long.
    """
    with atomic.replacing(path) as part:
        np.savez(part, allow_pickle=False, **arrays, about=np.frombuffer(json.dumps(about).encode(), np.uint8))


def read_state(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """What is known of the arrays, and they. Raises `InputError`, without a remedy, when the file is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"wrong check sum of {damaged}")
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        about = arrays.pop("about", None)
        return None if about is None else json.loads(about.tobytes()), arrays
    except PermissionError:
        raise
    except Exception as error:  # what a damaged archive does to its readers is listed nowhere
        raise InputError(f"{path}: is damaged or cut short ({error})") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
