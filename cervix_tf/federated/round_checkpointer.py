"""What a federation has on disk, and when a round has come to nothing: the same on one machine and on many."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights
from cervix_tf.federated.client import Client
from cervix_tf.federated.screening import UNKNOWN, Norms, ScreeningResult
from cervix_tf.run_dir import RunDir

Event = dict[str, Any]
"""A line of federation.csv: what became of one client in one round."""

TRAINED, UNUSED, REFUSED_ROUND = "trained", "unused", "round refused"
_LOSS, _CHANGES = "val_loss", ["change", "statistics_change"]


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

    A round counts once it stands in history.csv, which is written last. It is written while
    the next one is trained: use the checkpointer in a `with` block, which ends when all is written.

    The best round is the first whose loss on held-out images was not undercut. Where sites
    measure it themselves and one of them is away, two rounds are compared by the mean of
    those that measured both.
    """

    def __init__(self, out: RunDir, clients: Sequence[Client], patience: int) -> None:
        self.out, self.clients, self.patience = out, clients, patience
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
        if not set(_CHANGES) <= set(self.events):  # none yet, or written before changes were measured
            return {}
        counted = self.events[self.events["event"] == TRAINED].dropna(subset=_CHANGES)
        last = counted.groupby("client")[_CHANGES].last()
        return {str(name): Norms(*values) for name, values in zip(last.index, last.to_numpy(), strict=True)}

    def restore(self, initial_weights: Weights) -> tuple[Weights, int]:
        """The weights after the newest whole round, and how many rounds there were."""
        if not self.out.history.exists():
            return list(initial_weights), 0
        self.history = pd.read_csv(self.out.history, float_precision="round_trip")
        done = len(self.history)
        empty = dict.fromkeys(["loss", "seconds", *_CHANGES], "")
        events = pd.read_csv(self.out.federation, keep_default_na=False, na_values=empty, float_precision="round_trip")
        whole = (events["round"] <= done) | (events.get("event", "") == REFUSED_ROUND)
        last = np.flatnonzero(whole)[-1:]  # what is after it belongs to a round that was killed, and is told anew
        self.events = events[: last[0] + 1 if len(last) else 0]
        for number, row in enumerate(self.history.to_dict("records"), start=1):
            self._compare(number, _measured(row))
        state = self._state(done)
        if not state.exists():
            raise InputError(
                f"{state}: is missing although {self.out.history.name} counts {done} rounds; "
                f"remove {self.out.root} to train this federation anew"
            )
        return self.read(state), done

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
        self._submit(lambda: self._write_events(record))
        self._written.result()
        details = f" ({details})" if details else ""
        raise InputError(
            f"round {round_index + 1}: {why}{details}; mend what is wrong and start the same run again: "
            f"it goes on after round {round_index}"
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

    def finish(self, weights: Weights, recalibrate: Callable[[Weights], Weights] | None) -> Weights:
        """Write the federation's weights, the best round's where one was chosen; its state is no longer needed."""
        self._written.result()
        if self._best.exists():
            weights = self.read(self._best)
        if recalibrate is not None:
            weights = recalibrate(weights)
        _write(self.out.federated_weights, self._arrays(weights))
        self._best.unlink(missing_ok=True)
        self._state(len(self.history)).unlink(missing_ok=True)
        return weights

    def read(self, path: Path) -> Weights:
        """The weights in a file; the clients get what they kept."""
        with np.load(path) as arrays:
            for at, client in enumerate(self.clients):
                client.kept = [arrays[name] for name in arrays.files if name.startswith(f"client-{at}-")]
            return [arrays[name] for name in arrays.files if name.startswith("weight-")]

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
                _write(self._best, arrays)
            _write(self._state(done), arrays)
            self._write_events(events)
            atomic.write_text(self.out.history, history.to_csv(index=False, lineterminator="\n"))
            self._state(done - 1).unlink(missing_ok=True)

        return write

    def _write_events(self, events: pd.DataFrame) -> None:
        atomic.write_text(self.out.federation, events.to_csv(index=False, lineterminator="\n"))

    def _submit(self, write: Callable[[], None]) -> None:
        self._written.result()
        self._written = self._writer.submit(write)

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


def _measured(row: Mapping[Any, Any]) -> dict[str, float]:
    """The losses on held-out images in a row of the history, by who measured them; a simulation's under no name."""
    losses = {str(name)[len(_LOSS) :].strip(): value for name, value in row.items() if str(name).startswith(_LOSS)}
    losses = {name: value for name, value in losses.items() if not math.isnan(value)}
    return {name: value for name, value in losses.items() if name or len(losses) == 1}


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with atomic.replacing(path) as part:
        np.savez(part, **arrays)
