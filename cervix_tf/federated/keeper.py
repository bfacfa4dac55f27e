"""What a federation has on disk, and when a round has come to nothing: the same on one machine and on many."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights
from cervix_tf.federated.client import Client
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit
from cervix_tf.training.epoch_states import EpochStates, read_state, write_state

Event = dict[str, Any]
"""A line of federation.csv: what became of one client in one round."""
_EVENTS = "federation.csv"


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

    A round counts once its state, with all events so far, is on the disk (see `EpochStates`).
    """

    def __init__(self, out: RunDir, clients: Sequence[Client], patience: int) -> None:
        self.out, self.clients, self.patience = out, clients, patience
        self.states = EpochStates(out, {"val_loss": self._best}, "round")
        self.history, self.events = pd.DataFrame(), pd.DataFrame()

    def restore(self, first: Weights) -> tuple[Weights, int]:
        """The weights after the newest whole round, and how many rounds there were."""
        restored = self.states.restore()
        if restored is None:
            return list(first), 0
        self.history, done = restored.history, len(restored.history)
        if restored.arrays is None:
            raise InputError(
                f"{self.states.state(done)}: is missing although {self.out.history.name} counts {done} rounds; "
                f"remove {self.out.root} to train this federation anew"
            )
        told = restored.arrays[_EVENTS].tobytes().decode()
        self.events = pd.read_csv(io.StringIO(told), keep_default_na=False, na_values={"loss": "", "seconds": ""})
        atomic.write_text(self.out.federation, told)  # without what a killed round has left there
        return self._taken(restored.arrays), done

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
                self.states.keep_best("val_loss", done, lambda part: np.savez(part, allow_pickle=False, **arrays))
            text = told.to_csv(index=False, lineterminator="\n")
            self.states.keep(history, {**arrays, _EVENTS: np.frombuffer(text.encode(), np.uint8)})
            atomic.write_text(self.out.federation, text)

        return write

    def finish(self, weights: Weights, recalibrate: Callable[[Weights], Weights] | None) -> Weights:
        """Write the federation's weights, the best round's where one was chosen; its state is no longer needed."""
        if self._best.exists():
            weights = self.read(self._best)
        if recalibrate is not None:
            weights = recalibrate(weights)
        write_state(self.out.federated_weights, self._arrays(weights))
        self._best.unlink(missing_ok=True)
        self.states.clear()
        return weights

    @property
    def _best(self) -> Path:
        return self.out.checkpoints / "best.npz"

    def _arrays(self, weights: Weights) -> dict[str, np.ndarray]:
        arrays = {f"weight-{index}": array for index, array in enumerate(weights)}
        for at, client in enumerate(self.clients):
            arrays |= {f"client-{at}-{index}": array for index, array in enumerate(client.kept)}
        return arrays

    def read(self, path: Path) -> Weights:
        """The weights in a file; the clients get what they kept. Raises `InputError` when it is damaged."""
        try:
            return self._taken(read_state(path)[1])
        except InputError as error:
            raise InputError(
                f"{error}; copy the run again as a whole, or remove {self.out.root} to train this federation anew"
            ) from None

    def _taken(self, arrays: Mapping[str, np.ndarray]) -> Weights:
        for at, client in enumerate(self.clients):
            client.kept = [array for name, array in arrays.items() if name.startswith(f"client-{at}-")]
        return [array for name, array in arrays.items() if name.startswith("weight-")]
