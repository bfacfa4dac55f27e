"""A federation on one machine: clients train in turn, or one a device, and every round is kept on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cervix_tf.federated.averaging import Update, Weights, average, problem
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.keeper import Event, Keeper, check
from cervix_tf.federated.policy import Topology
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit


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
    A round is written while the next is trained, so a kill costs that and the one before.
    Called again after a kill it goes on from there and ends with the same weights; called
    on a finished federation it returns its weights.

    A client that raises an error, sends weights that do not fit or are not finite, or
    takes longer than the policy's deadline is left out of its round, and the event is in
    federation.csv; with too few clients left the federation ends with an `InputError`, and
    can go on from the round before.
    """
    policy, keeper = trainers[0].policy, Keeper(out, clients, patience)
    if out.federated_weights.exists():
        return keeper.read(out.federated_weights)
    weights, done = keeper.restore(first)
    written: Future[None] | None = None
    with ThreadPoolExecutor(1) as writer:  # a round is written while the next is trained
        while done < policy.rounds and not fit.stalled(keeper.history, "val_loss", patience):
            started = time.monotonic()
            if topology == "server":
                updates, events = _together(trainers, clients, weights, done)
                check(policy.minimum, events, done)
                weights = average(updates, policy.weighting)
            else:
                weights, events = _around(trainers[0], clients, weights, done)
                check(policy.minimum, events, done)
            done += 1
            row = {
                "epoch": done,
                "loss": np.nanmean([event["loss"] for event in events if event["event"] == "trained"]),
            }
            if held_out is not None:
                row["val_loss"] = held_out(weights)
            write = keeper.note(weights, {**row, "seconds": round(time.monotonic() - started, 3)}, events)
            if written is not None:
                written.result()
            written = writer.submit(write)
        if written is not None:
            written.result()

    def recalibrated(weights: Weights) -> Weights:
        return average([trainers[0].recalibrate(client, weights) for client in clients])

    return keeper.finish(weights, recalibrated if policy.batch_norm == "recalibrate" else None)


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
