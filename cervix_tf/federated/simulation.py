"""A federation on one machine: clients train in turn, or one a device, and every round is kept on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights, average, problem
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.run_dir import RunDir
from cervix_tf.train import fit

Topology = Literal["server", "ring"]
Event = dict[str, Any]
"""A line of federation.csv: what became of one client in one round."""


def run(
    trainers: Sequence[Trainer],
    clients: Sequence[Client],
    first: Weights,
    out: RunDir,
    *,
    topology: Topology = "server",
    held_out: Callable[[Weights], float] | None = None,
    patience: int = 0,
) -> Weights:
    """Train the clients together from the weights `first`; the common weights at the end.

    `server`: every round all clients start from the common weights, and the average of
    what they send back is the next. `ring`: they train one after the other, each from what
    the one before hands on, in the order of `clients`. With `held_out`, the loss of common
    weights on held-out images, the best round's weights are the result, and `patience`
    rounds without improvement end the federation. Afterwards the clients hold what they
    keep (`Client.kept`) as of that round.

    Several `trainers`, alike and each on a device of its own, train the clients of a
    server's round at the same time. Results do not depend on how many there are.

    `out` gets history.csv (a line a round), federation.csv (a line a client and round:
    what became of it, bytes received and sent) and the state after the last whole round.
    Called again after a kill it goes on from there and ends with the same weights; called
    on a finished federation it returns its weights.

    A client that raises an error, sends weights that do not fit or are not finite, or
    takes longer than the policy's deadline is left out of its round, and the event is in
    federation.csv; with too few clients left the federation ends with an `InputError`, and
    can go on from the round before.
    """
    policy, keeper = trainers[0].policy, _Keeper(out, clients, patience)
    if out.federated_weights.exists():
        return keeper.read(out.federated_weights)
    weights, done = keeper.restore(first)
    while done < policy.rounds and not fit.stalled(keeper.history, "val_loss", patience):
        started = time.monotonic()
        if topology == "server":
            updates, events = _together(trainers, clients, weights, done)
            _check(policy.minimum, events, done)
            weights = average(updates, policy.weighting)
        else:
            weights, events = _around(trainers[0], clients, weights, done)
            _check(policy.minimum, events, done)
        done += 1
        row = {"epoch": done, "loss": np.nanmean([event["loss"] for event in events if event["event"] == "trained"])}
        if held_out is not None:
            row["val_loss"] = held_out(weights)
        keeper.keep(weights, {**row, "seconds": round(time.monotonic() - started, 3)}, events)
    return keeper.finish(trainers[0], weights, policy.batch_norm == "recalibrate")


def _together(
    trainers: Sequence[Trainer], clients: Sequence[Client], weights: Weights, at: int
) -> tuple[list[Update], list[Event]]:
    """One round of a server: the updates that can be used, and what became of each client."""

    def turns(which: int) -> dict[str, tuple[Update | None, Event]]:
        trainer, own = trainers[which], clients[which :: len(trainers)]
        return {client.name: _attempt(client, weights, at, trainer) for client in own}

    if len(trainers) == 1:
        found = turns(0)
    else:
        with ThreadPoolExecutor(len(trainers)) as pool:
            found = {name: one for own in pool.map(turns, range(len(trainers))) for name, one in own.items()}
    in_order = [found[client.name] for client in clients]
    return [update for update, _ in in_order if update is not None], [event for _, event in in_order]


def _around(trainer: Trainer, clients: Sequence[Client], weights: Weights, at: int) -> tuple[Weights, list[Event]]:
    """Once around the ring: a client that fails is passed over."""
    events = []
    for client in clients:
        update, event = _attempt(client, weights, at, trainer)
        weights = weights if update is None else update.weights
        events.append(event)
    return weights, events


def _attempt(client: Client, weights: Weights, at: int, trainer: Trainer) -> tuple[Update | None, Event]:
    """The client's update, None where it cannot be used, and what became of it."""
    size = sum(array.nbytes for array in weights)
    event: Event = {"round": at + 1, "client": client.name, "event": "trained", "reason": "", "loss": math.nan}
    event |= {"examples": client.examples, "seconds": math.nan, "bytes_received": size, "bytes_sent": 0}
    before = client.kept
    try:
        update = trainer.train(client, weights, at)
    except Exception as error:  # whatever a site's machine and data do: the others go on, and the reason is kept
        client.kept = before
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return None, {**event, "event": "died", "reason": reason}
    event |= {"loss": update.losses[-1], "seconds": round(update.seconds, 3)}
    event["bytes_sent"] = sum(array.nbytes for array in update.weights)
    if reason := problem(update.weights, weights):
        return None, {**event, "event": "refused", "reason": reason}
    deadline = trainer.policy.deadline
    if deadline and update.seconds > deadline:
        return None, {**event, "event": "late", "reason": f"after {deadline:g} s"}
    return update, event


def _check(minimum: int, events: Sequence[Event], at: int) -> None:
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


class _Keeper:
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
        done = row["epoch"]
        if "val_loss" in row and not math.isfinite(row["val_loss"]):
            raise InputError(f"{self.out.root}: the loss on held-out images of round {done} is {row['val_loss']}")
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        if "val_loss" in row and fit.best_epoch(self.history, "val_loss") == done:
            self._write(self._best, weights)
        self._write(self._state(done), weights)
        self.events = pd.concat([self.events, pd.DataFrame(events)], ignore_index=True)
        atomic.write_text(self.out.federation, self.events.to_csv(index=False, lineterminator="\n"))
        atomic.write_text(self.out.history, self.history.to_csv(index=False, lineterminator="\n"))
        self._state(done - 1).unlink(missing_ok=True)

    def finish(self, trainer: Trainer, weights: Weights, recalibrate: bool) -> Weights:
        """Write the federation's weights, the best round's where one was chosen; its state is no longer needed."""
        if self._best.exists():
            weights = self.read(self._best)
        if recalibrate:
            weights = average([trainer.recalibrate(client, weights) for client in self.clients])
        self._write(self.out.federated_weights, weights)
        self._best.unlink(missing_ok=True)
        self._state(len(self.history)).unlink(missing_ok=True)
        return weights

    @property
    def _best(self) -> Path:
        return self.out.checkpoints / "best.npz"

    def _state(self, done: int) -> Path:
        return self.out.checkpoints / f"round-{done}.npz"

    def _write(self, path: Path, weights: Weights) -> None:
        arrays: dict[str, Any] = {f"weight-{index}": array for index, array in enumerate(weights)}
        for at, client in enumerate(self.clients):
            arrays |= {f"client-{at}-{index}": array for index, array in enumerate(client.kept)}
        with atomic.replacing(path) as part:
            np.savez(part, **arrays)

    def read(self, path: Path) -> Weights:
        """The weights in a file; the clients get what they kept."""
        with np.load(path) as arrays:
            for at, client in enumerate(self.clients):
                client.kept = [arrays[name] for name in arrays.files if name.startswith(f"client-{at}-")]
            return [arrays[name] for name in arrays.files if name.startswith("weight-")]
