"""What a federation has on disk, and when a round has come to nothing: the same on one machine and on many."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.data import tables
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights
from cervix_tf.federated.client import Client
from cervix_tf.federated.screening import UNKNOWN, Norms, ScreeningResult
from cervix_tf.run_dir import RunDir
from cervix_tf.training.epoch_states import EpochStates, read_state, write_state

Event = dict[str, Any]
"""A line of federation.csv: what became of one client in one round."""

TRAINED, UNUSED, REFUSED_ROUND = "trained", "unused", "round refused"
_LOSS, _CHANGES = "val_loss", ["change", "statistics_change"]
_EVENTS = "federation.csv"


def new_event(
    round_index: int, client: str, what: str, reason: str = "", *, received: int = 0, update: Update | None = None
) -> Event:
    """What became of a client in a round, counted from 0; its update where it sent one that can be read."""
    return {
        "round": round_index + 1,
        "client": client,
        "event": what,
        "reason": reason,
        "loss": update.losses[-1] if update is not None and update.losses else math.nan,
        "examples": update.examples if update is not None else 0,
        "seconds": round(update.seconds, 3) if update is not None else math.nan,
        "bytes_received": received,
        "bytes_sent": sum(array.nbytes for array in update.weights) if update is not None else 0,
        **_as_columns(UNKNOWN),
    }


def screened(event: Event, result: ScreeningResult) -> Event:
    """The event of a client whose update was looked at."""
    what = {"event": "refused", "reason": result.reason} if result.reason else {}
    return {**event, **what, **_as_columns(result.change)}


def recorded_change(event: Event) -> Norms:
    """How far an update moved the weights, as it stands in the record."""
    return Norms(*(event[name] for name in _CHANGES))


def _as_columns(change: Norms) -> Event:
    return {name: float(f"{norm:.6g}") for name, norm in zip(_CHANGES, change, strict=True)}


class RoundCheckpointer:
    """Keeps history, events, best weights and state, in an order that a kill between any two writes cannot harm.

    A round counts once its state, with all events so far, is on the disk (see `EpochStates`). It is written while
    the next one is trained: use the checkpointer in a `with` block, which ends when all is written. federation.csv
    is a copy of the events, which are read from the state, or from refused.npz where the last round was refused.

    The best round is the first whose loss on held-out images was not undercut. Where sites
    measure it themselves and one of them is away, two rounds are compared by the mean of
    those that measured both.
    """

    def __init__(self, out: RunDir, clients: Sequence[Client], patience: int) -> None:
        self.out, self.clients, self.patience = out, clients, patience
        self.states = EpochStates(out, {_LOSS: self._best}, "round")
        self.history, self.events = pd.DataFrame(), pd.DataFrame()
        self.best = 0
        """The best round so far, counted from 1; 0 while none was measured."""
        self._lowest: dict[str, float] = {}
        self._writer, self._written = ThreadPoolExecutor(1), Future[None]()
        self._written.set_result(None)

    def __enter__(self) -> RoundCheckpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown()
        if kind is None:
            self._written.result()

    @property
    def stalled(self) -> bool:
        """Whether the last `patience` rounds were no better than the best before them; never with 0."""
        return 0 < self.patience <= len(self.history) - self.best and self.best > 0

    @property
    def changes(self) -> dict[str, Norms]:
        """What the last update of each client that counted changed."""
        if self.events.empty:
            return {}
        counted = self.events[self.events["event"] == TRAINED].dropna(subset=_CHANGES)
        last = counted.groupby("client")[_CHANGES].last()
        return {str(name): Norms(*values) for name, values in zip(last.index, last.to_numpy(), strict=True)}

    def restore(self, initial_weights: Weights) -> tuple[Weights, int]:
        """The weights after the newest whole round, and how many rounds there were."""
        restored, weights, record = self.states.restore(), list(initial_weights), ""
        if restored is not None:
            self.history = restored.history
            if restored.arrays is None:
                raise InputError(
                    f"{self.states.state(len(self.history))}: is missing although {self.out.history.name} counts "
                    f"{len(self.history)} rounds; remove {self.out.root} to train this federation again"
                )
            weights, record = self._taken(restored.arrays), _text(restored.arrays)
            for at, row in enumerate(self.history.to_dict("records")):
                self._compare(at + 1, _measured(row))
        self._restore_events(record)
        return weights, len(self.history)

    def _restore_events(self, record: str) -> None:
        """Take up the events in the newest state and those of rounds refused after it, and write federation.csv anew.

        Where a damaged state cost a whole round, what counted in it is trained and recorded again.
        """
        if self._refused.exists():
            try:
                with_refused = _text(read_state(self._refused)[1])
            except InputError as error:
                raise InputError(f"{error}; remove it to continue without its record of refused rounds") from None
            record = with_refused if with_refused.startswith(record) else record
        if not record:
            return
        events = pd.read_csv(
            io.StringIO(record),
            dtype=dict.fromkeys(["client", "event", "reason"], str),
            keep_default_na=False,
            na_values=dict.fromkeys(["loss", "seconds", *_CHANGES], ""),
            float_precision="round_trip",
        )
        events = events.map(lambda cell: tables.unshielded(cell) if isinstance(cell, str) else cell)
        self.events = events[(events["round"] <= len(self.history)) | (events["event"] != TRAINED)]
        self._write_events(self.events)

    def count(self, minimum: int, events: Sequence[Event], round_index: int) -> None:
        """Refuse the round when fewer clients than needed (0: all) came back with something to use; print who did not.

        Raises `InputError`.
        """
        lost = [event for event in events if event["event"] != TRAINED]
        details = "; ".join(f"{event['client']} {event['event']}: {event['reason']}" for event in lost)
        here, needed = len(events) - len(lost), minimum or len(events)
        if here < needed or not here:
            self.refuse(round_index, events, f"{here} of {len(events)} clients came back, {needed} are needed", details)
        if lost:
            print(f"round {round_index + 1}: without {details}", flush=True)

    def refuse(self, round_index: int, events: Sequence[Event], why: str, details: str = "") -> NoReturn:
        """Write down that a round came to nothing, and raise `InputError`; the round before stays as it is."""
        unused = [{**event, "event": UNUSED} if event["event"] == TRAINED else event for event in events]
        attempt = pd.DataFrame([*unused, new_event(round_index, "", REFUSED_ROUND, why)])
        record = pd.concat([self.events, attempt], ignore_index=True)
        self._submit(lambda: self._write_refused(record))
        self._written.result()
        details = f" ({details})" if details else ""
        raise InputError(
            f"round {round_index + 1}: {why}{details}; fix what is wrong and run the same command again: "
            f"it continues after round {round_index}"
        )

    def keep(self, weights: Weights, seconds: float, events: Sequence[Event], losses: Mapping[str, float]) -> None:
        """Write down a round; `losses` of its weights on held-out images, by who measured them.

        Raises `InputError` when one of these is not finite.
        """
        done = len(self.history) + 1
        row: dict[str, Any] = {"epoch": done}
        row["loss"] = np.nanmean([event["loss"] for event in events if event["event"] == TRAINED])
        if losses:
            row[_LOSS] = np.mean(list(losses.values()))
            row |= {f"{_LOSS} {name}": value for name, value in losses.items() if name}
            if not math.isfinite(row[_LOSS]):
                self.refuse(done - 1, events, f"the loss on held-out images is {row[_LOSS]}")
        row["seconds"] = round(seconds, 3)
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        self.events = pd.concat([self.events, pd.DataFrame(events)], ignore_index=True)
        best = self._compare(done, losses)
        self._submit(self._write(done, best, weights))

    def written(self) -> None:
        """Wait until the last round is on the disk."""
        self._written.result()

    def finish(self, weights: Weights, recalibrate: Callable[[Weights], Weights] | None) -> Weights:
        """Write the federation's weights, the best round's where one was chosen; its state is no longer needed."""
        self._written.result()
        if self._best.exists():
            weights = self.read(self._best)
        if recalibrate is not None:
            weights = recalibrate(weights)
        write_state(self.out.federated_weights, self._arrays(weights))
        self._best.unlink(missing_ok=True)
        self._refused.unlink(missing_ok=True)
        self.states.clear()
        return weights

    def read(self, path: Path) -> Weights:
        """The weights in a file; the clients get what they kept. Raises `InputError` when it is damaged."""
        try:
            return self._taken(read_state(path)[1])
        except InputError as error:
            raise InputError(
                f"{error}; copy the run again as a whole, or remove {self.out.root} to train this federation again"
            ) from None

    def _taken(self, arrays: Mapping[str, np.ndarray]) -> Weights:
        for at, client in enumerate(self.clients):
            client.kept = [array for name, array in arrays.items() if name.startswith(f"client-{at}-")]
        return [array for name, array in arrays.items() if name.startswith("weight-")]

    def _compare(self, done: int, losses: Mapping[str, float]) -> bool:
        """Whether a round is the best so far."""
        both = sorted(losses.keys() & self._lowest.keys())
        if self._lowest:
            now, then = ([of[name] for name in both] for of in (losses, self._lowest))
            better = bool(both) and statistics.fmean(now) < statistics.fmean(then)
        else:
            better = bool(losses)
        if better:
            self.best, self._lowest = done, dict(losses)
        return better

    def _write(self, done: int, best: bool, weights: Weights) -> Callable[[], None]:
        """What writes a round as it is now, later, in another thread."""
        arrays, events, history = self._arrays(weights), self.events, self.history

        def write() -> None:
            if best:
                self.states.keep_best(_LOSS, done, lambda part: np.savez(part, allow_pickle=False, **arrays))
            self.states.keep(history, {**arrays, **_as_array(events)})
            self._write_events(events)

        return write

    def _write_refused(self, events: pd.DataFrame) -> None:
        """Write the events so far where the next start finds them: the newest state does not have the last ones."""
        write_state(self._refused, _as_array(events))
        self._write_events(events)

    def _write_events(self, events: pd.DataFrame) -> None:
        atomic.write_text(self.out.federation, tables.csv_text(events))

    def _submit(self, write: Callable[[], None]) -> None:
        self._written.result()
        self._written = self._writer.submit(write)

    @property
    def _best(self) -> Path:
        return self.out.checkpoints / "best.npz"

    @property
    def _refused(self) -> Path:
        return self.out.checkpoints / "refused.npz"

    def _arrays(self, weights: Weights) -> dict[str, np.ndarray]:
        arrays = {f"weight-{index}": array for index, array in enumerate(weights)}
        for at, client in enumerate(self.clients):
            arrays |= {f"client-{at}-{index}": array for index, array in enumerate(client.kept)}
        return arrays


def _as_array(events: pd.DataFrame) -> dict[str, np.ndarray]:
    """The events as a file of arrays can hold them."""
    return {_EVENTS: np.frombuffer(tables.csv_text(events).encode(), np.uint8)}


def _text(arrays: Mapping[str, np.ndarray]) -> str:
    """What `_as_array` put there, as CSV."""
    return arrays[_EVENTS].tobytes().decode()


def _measured(row: Mapping[Any, Any]) -> dict[str, float]:
    """The losses on held-out images in a row of the history, by who measured them; a simulation's under no name."""
    losses = {str(name)[len(_LOSS) :].strip(): value for name, value in row.items() if str(name).startswith(_LOSS)}
    losses = {name: value for name, value in losses.items() if not math.isnan(value)}
    return {name: value for name, value in losses.items() if name or len(losses) == 1}
