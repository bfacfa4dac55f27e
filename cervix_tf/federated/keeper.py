"""What a federation has on disk, and when a round has come to nothing: the same on one machine and on many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.data import tables
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights
from cervix_tf.federated.client import Client
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

Event = dict[str, Any]
"""A line of federation.csv: what became of one client in one round."""


def check(minimum: int, events: Sequence[Event], at: int) -> None:
    """Raise `InputError` when fewer clients than needed came back with something to use; print who did not."""
    lost = [event for event in events if event["event"] != "trained"]
    said = "; ".join(f"{event['client']} {event['event']}: {event['reason']}" for event in lost)
    needed = minimum or len(events)
    if len(events) - len(lost) < needed:
        raise InputError(
            f"round {at + 1}: {len(events) - len(lost)} of {len(events)} clients came back, {needed} are needed "
            f"({said}); mend what is wrong and start the same run again: it goes on after round {at}"
        )
    if lost:
        print(f"round {at + 1}: without {said}", flush=True)


class Keeper:
    """Keeps history, events, best weights and state, in an order that a kill between any two writes cannot harm.

    A round counts once it stands in history.csv, which is written last.
    """

    def __init__(self, out: RunDir, clients: Sequence[Client], patience: int) -> None:
        self.out, self.clients, self.patience = out, clients, patience
        self.history, self.events = pd.DataFrame(), pd.DataFrame()

    def restore(self, first: Weights) -> tuple[Weights, int]:
        """The weights after the newest whole round, and how many rounds there were."""
        if not self.out.history.exists():
            return list(first), 0
        self.history = pd.read_csv(self.out.history)
        done = len(self.history)
        events = pd.read_csv(self.out.federation, keep_default_na=False, na_values={"loss": "", "seconds": ""})
        events = events.map(lambda cell: tables.unshielded(cell) if isinstance(cell, str) else cell)
        self.events = events[events["round"] <= done]  # those of a round that was killed are told anew
        state = self._state(done)
        if not state.exists():
            raise InputError(
                f"{state}: is missing although {self.out.history.name} counts {done} rounds; "
                f"remove {self.out.root} to train this federation anew"
            )
        return self.read(state), done

    def keep(self, weights: Weights, row: dict[str, Any], events: Sequence[Event]) -> None:
        """Write down a round."""
        self.note(weights, row, events)()

    def note(self, weights: Weights, row: dict[str, Any], events: Sequence[Event]) -> Callable[[], None]:
        """Take down a round as it is now; what comes back writes it, in its turn, in whatever thread."""
        done = row["epoch"]
        if "val_loss" in row and not math.isfinite(row["val_loss"]):
            raise InputError(f"{self.out.root}: the loss on held-out images of round {done} is {row['val_loss']}")
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        self.events = pd.concat([self.events, pd.DataFrame(events)], ignore_index=True)
        best = "val_loss" in row and fit.best_epoch(self.history, "val_loss") == done
        arrays, told, history = self._arrays(weights), self.events, self.history

        def write() -> None:
            if best:
                _write(self._best, arrays)
            _write(self._state(done), arrays)
            atomic.write_text(self.out.federation, tables.csv_text(told))
            atomic.write_text(self.out.history, history.to_csv(index=False, lineterminator="\n"))
            self._state(done - 1).unlink(missing_ok=True)

        return write

    def finish(self, weights: Weights, recalibrate: Callable[[Weights], Weights] | None) -> Weights:
        """Write the federation's weights, the best round's where one was chosen; its state is no longer needed."""
        if self._best.exists():
            weights = self.read(self._best)
        if recalibrate is not None:
            weights = recalibrate(weights)
        _write(self.out.federated_weights, self._arrays(weights))
        self._best.unlink(missing_ok=True)
        self._state(len(self.history)).unlink(missing_ok=True)
        return weights

    @property
    def _best(self) -> Path:
        return self.out.checkpoints / "best.npz"

    def _state(self, done: int) -> Path:
        return self.out.checkpoints / f"round-{done}.npz"

    def _arrays(self, weights: Weights) -> dict[str, np.ndarray]:
        arrays = {f"weight-{index}": array for index, array in enumerate(weights)}
        for at, client in enumerate(self.clients):
            arrays |= {f"client-{at}-{index}": array for index, array in enumerate(client.kept)}
        return arrays

    def read(self, path: Path) -> Weights:
        """The weights in a file; the clients get what they kept."""
        with np.load(path) as arrays:
            for at, client in enumerate(self.clients):
                client.kept = [arrays[name] for name in arrays.files if name.startswith(f"client-{at}-")]
            return [arrays[name] for name in arrays.files if name.startswith("weight-")]


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with atomic.replacing(path) as part:
        np.savez(part, **arrays)
