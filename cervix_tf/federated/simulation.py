"""A federation on one machine: clients train in turn, or one a device, and every round is kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from cervix_tf import progress
from cervix_tf.federated.averaging import Update, Weights, average
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.policy import Topology, ring
from cervix_tf.federated.round_checkpointer import (
    TRAINED,
    Event,
    RoundCheckpointer,
    new_event,
    recorded_change,
    screened,
)
from cervix_tf.federated.screening import Norms, Screening
from cervix_tf.run_dir import RunDir


def run(
    trainers: Sequence[Trainer],
    clients: Sequence[Client],
    initial_weights: Weights,
    out: RunDir,
    *,
    topology: Topology = "server",
    held_out: Callable[[Weights], float] | None = None,
    patience: int = 0,
) -> Weights:
    """Train the clients together from `initial_weights`; the common weights at the end.

    `server`: every round all clients start from the common weights, and the average of
    what they send back is the next. `ring`: they train one after the other, each from what
    the one before hands on, in the order of `clients`. With `held_out`, the loss of common
    weights on held-out images, the best round's weights are the result, and `patience`
    rounds without improvement end the federation. Afterwards the clients hold what they
    keep (`Client.kept`) as of that round.

    Several `trainers`, alike and each on a device of its own, train the clients of a
    server's round at the same time. Results do not depend on how many there are.

    `out` gets history.csv (one line per round), federation.csv (one line per client and round:
    what became of it, how far it changed the weights, bytes received and sent) and the
    state after the last whole round. A round is written while the next is trained, so a
    kill costs that and the one before. Called again after a kill it goes on from there and
    ends with the same weights; called on a finished federation it returns its weights.

    A client that raises an error, sends what `Screening` refuses, or takes longer than the
    policy's deadline is left out of its round, and the event is in federation.csv; with too
    few clients left the round is refused with an `InputError`, what was done stands in
    federation.csv, and the same federation can go on from the round before.

    Raises `InputError` when two clients have one name.
    """
    if patience and held_out is None:
        raise ValueError("patience counts rounds without a lower loss on held-out images: give held_out, too")
    ring([client.name for client in clients])  # refuses a name that occurs twice
    policy, checkpointer = trainers[0].policy, RoundCheckpointer(out, clients, patience)
    if out.federated_weights.exists():
        return checkpointer.read(out.federated_weights)
    screening = Screening(
        trainers[0].statistics,
        trainers[0].variances,
        policy.norm_bound,
        sizes={client.name: client.examples for client in clients},
    )
    with checkpointer, progress.stage(f"{out.root.name}: federating", policy.rounds, "rounds") as stage:
        weights, done = checkpointer.restore(initial_weights)
        stage.advance(done)
        while done < policy.rounds and not checkpointer.stalled:
            started = time.monotonic()
            if topology == "server":
                updates, events = _server_round(trainers, clients, weights, done, screening)
                checkpointer.count(policy.minimum, events, done)
                weights = average(updates, policy.weighting)
            else:
                handed_on, events = _ring_round(trainers[0], clients, weights, done, screening, checkpointer.changes)
                checkpointer.count(policy.minimum, events, done)
                weights = handed_on
            losses = {} if held_out is None else {"": held_out(weights)}
            checkpointer.keep(weights, time.monotonic() - started, events, losses)
            done += 1
            stage.advance()

        def recalibrated(weights: Weights) -> Weights:
            weighting = policy.weighting if topology == "server" else "plain"
            return average([trainers[0].recalibrate(client, weights) for client in clients], weighting)

        return checkpointer.finish(weights, recalibrated if policy.batch_norm == "recalibrate" else None)


def _server_round(
    trainers: Sequence[Trainer], clients: Sequence[Client], weights: Weights, round_index: int, screening: Screening
) -> tuple[list[Update], list[Event]]:
    """One round of a server: the updates that can be used, and what became of each client."""
    before = {client.name: client.kept for client in clients}

    def turns(which: int) -> list[tuple[Update | None, Event]]:
        return [
            _local_update(client, weights, round_index, trainers[which]) for client in clients[which :: len(trainers)]
        ]

    if len(trainers) == 1:
        attempts = turns(0)
    else:
        with ThreadPoolExecutor(len(trainers)) as pool:
            attempts = [one for own in pool.map(turns, range(len(trainers))) for one in own]
    by_name = {event["client"]: (update, event) for update, event in attempts}
    in_order = [by_name[client.name] for client in clients]
    updates, events = _screened(screening, in_order, weights)
    for client, event in zip(clients, events, strict=True):
        _restore_kept(client, before[client.name], event)
    return updates, events


def _ring_round(
    trainer: Trainer,
    clients: Sequence[Client],
    weights: Weights,
    round_index: int,
    screening: Screening,
    changes: Mapping[str, Norms],
) -> tuple[Weights, list[Event]]:
    """Once around the ring: a client that fails is passed over. `changes`: what each one's last update changed."""
    events, known = [], dict(changes)
    for client in clients:
        before = client.kept
        updates, (event,) = _screened(screening, [_local_update(client, weights, round_index, trainer)], weights, known)
        _restore_kept(client, before, event)
        if updates:
            weights = updates[0].weights
            known[client.name] = recorded_change(event)
        events.append(event)
    return weights, events


def _local_update(client: Client, weights: Weights, round_index: int, trainer: Trainer) -> tuple[Update | None, Event]:
    """The client's update, None where there is none in time, and what became of it."""
    size = sum(array.nbytes for array in weights)
    try:
        update = trainer.train(client, weights, round_index)
    except Exception as error:  # whatever a site's machine and data do: the others go on, and the reason is kept
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return None, {**new_event(round_index, client.name, "died", reason, received=size), "examples": client.examples}
    deadline = trainer.policy.deadline
    if deadline and update.seconds > deadline:
        return None, new_event(round_index, client.name, "late", f"after {deadline:g} s", received=size, update=update)
    return update, new_event(round_index, client.name, TRAINED, received=size, update=update)


def _screened(
    screening: Screening,
    attempts: Sequence[tuple[Update | None, Event]],
    weights: Weights,
    earlier: Mapping[str, Norms] | None = None,
) -> tuple[list[Update], list[Event]]:
    """The updates of one round, or of one client in a ring, that can be used, and what became of each client."""
    updates = [update for update, _ in attempts if update is not None]
    results = screening.judge(updates, weights, earlier)
    events = [event if update is None else screened(event, results[update.client]) for update, event in attempts]
    return [update for update in updates if not results[update.client].reason], events


def _restore_kept(client: Client, before: Weights, event: Event) -> None:
    """What a client has kept of a round in which its update was of no use, other than too late, goes."""
    if event["event"] in ("died", "refused"):
        client.kept = before
