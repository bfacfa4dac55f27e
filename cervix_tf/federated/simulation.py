"""A federation on one machine: clients train in turn, or one a device, and every round is kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from cervix_tf.federated.averaging import Update, Weights, average
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.keeper import TRAINED, Event, Keeper, change_of, event, screened
from cervix_tf.federated.policy import Topology, ring
from cervix_tf.federated.screening import Norms, Screening
from cervix_tf.run_dir import RunDir


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
    policy, keeper = trainers[0].policy, Keeper(out, clients, patience)
    if out.federated_weights.exists():
        return keeper.read(out.federated_weights)
    screening = Screening(
        trainers[0].statistics,
        trainers[0].variances,
        policy.norm_bound,
        sizes={client.name: client.examples for client in clients},
    )
    with keeper:
        weights, done = keeper.restore(first)
        while done < policy.rounds and not keeper.stalled:
            started = time.monotonic()
            if topology == "server":
                updates, events = _together(trainers, clients, weights, done, screening)
                keeper.count(policy.minimum, events, done)
                weights = average(updates, policy.weighting)
            else:
                handed_on, events = _around(trainers[0], clients, weights, done, screening, keeper.changes)
                keeper.count(policy.minimum, events, done)
                weights = handed_on
            losses = {} if held_out is None else {"": held_out(weights)}
            keeper.keep(weights, time.monotonic() - started, events, losses)
            done += 1

        def recalibrated(weights: Weights) -> Weights:
            return average([trainers[0].recalibrate(client, weights) for client in clients])

        return keeper.finish(weights, recalibrated if policy.batch_norm == "recalibrate" else None)


def _together(
    trainers: Sequence[Trainer], clients: Sequence[Client], weights: Weights, at: int, screening: Screening
) -> tuple[list[Update], list[Event]]:
    """One round of a server: the updates that can be used, and what became of each client."""
    before = {client.name: client.kept for client in clients}

    def turns(which: int) -> list[tuple[Update | None, Event]]:
        return [_attempt(client, weights, at, trainers[which]) for client in clients[which :: len(trainers)]]

    if len(trainers) == 1:
        found = turns(0)
    else:
        with ThreadPoolExecutor(len(trainers)) as pool:
            found = [one for own in pool.map(turns, range(len(trainers))) for one in own]
    by_name = {told["client"]: (update, told) for update, told in found}
    in_order = [by_name[client.name] for client in clients]
    updates, events = _screened(screening, in_order, weights, at)
    for client, told in zip(clients, events, strict=True):
        _forget(client, before[client.name], told)
    return updates, events


def _around(
    trainer: Trainer,
    clients: Sequence[Client],
    weights: Weights,
    at: int,
    screening: Screening,
    changes: Mapping[str, Norms],
) -> tuple[Weights, list[Event]]:
    """Once around the ring: a client that fails is passed over. `changes`: what each one's last update changed."""
    events, known = [], dict(changes)
    for client in clients:
        before = client.kept
        updates, (told,) = _screened(screening, [_attempt(client, weights, at, trainer)], weights, at, known)
        _forget(client, before, told)
        if updates:
            weights = updates[0].weights
            known[client.name] = change_of(told)
        events.append(told)
    return weights, events


def _attempt(client: Client, weights: Weights, at: int, trainer: Trainer) -> tuple[Update | None, Event]:
    """The client's update, None where there is none in time, and what became of it."""
    size = sum(array.nbytes for array in weights)
    try:
        update = trainer.train(client, weights, at)
    except Exception as error:  # whatever a site's machine and data do: the others go on, and the reason is kept
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return None, {**event(at, client.name, "died", reason, received=size), "examples": client.examples}
    deadline = trainer.policy.deadline
    if deadline and update.seconds > deadline:
        return None, event(at, client.name, "late", f"after {deadline:g} s", received=size, update=update)
    return update, event(at, client.name, TRAINED, received=size, update=update)


def _screened(
    screening: Screening,
    attempts: Sequence[tuple[Update | None, Event]],
    weights: Weights,
    at: int,
    earlier: Mapping[str, Norms] | None = None,
) -> tuple[list[Update], list[Event]]:
    """The updates of one round, or of one client in a ring, that can be used, and what became of each client."""
    updates = [update for update, _ in attempts if update is not None]
    verdicts = screening.judge(updates, weights, earlier)
    events = [told if update is None else screened(told, verdicts[update.client]) for update, told in attempts]
    return [update for update in updates if not verdicts[update.client].reason], events


def _forget(client: Client, before: Weights, told: Event) -> None:
    """What a client has kept of a round in which its update was of no use, other than too late, goes."""
    if told["event"] in ("died", "refused"):
        client.kept = before
