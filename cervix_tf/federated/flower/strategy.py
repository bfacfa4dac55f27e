"""Rounds with sites that may fail or lie: who is asked, which answers count, and what is made of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    Strategy,
)

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights, average
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.flower import replies, secure
from cervix_tf.federated.flower.client import RECALIBRATE
from cervix_tf.federated.flower.terms import Terms
from cervix_tf.federated.keeper import TRAINED, Event, Keeper, change_of, event, screened
from cervix_tf.federated.screening import Norms, Screening, problem

_LOG = logging.getLogger("flwr")  # its lines reach whoever gave `flwr run --stream`
_POLL = 1.0
_FOREVER = 12 * 3600.0  # as long as Flower keeps a message


class Rounds:
    """Client-server rounds: the weights go to every site, and one comes of the updates that count.

    An update counts when it is there before the deadline and `Screening` lets it pass. Every
    other is left out and reported; the round ends with the rest.

    Raises `InputError` from a round that fewer than `terms.minimum` sites contribute to: it
    then stands in the record as refused, and the keeper's state is that of the round before.
    """

    def __init__(self, grid: Grid, trainer: Trainer, terms: Terms, keeper: Keeper) -> None:
        self.grid, self.trainer, self.terms, self.keeper = grid, trainer, terms, keeper
        self.timeout = terms.policy.deadline or _FOREVER
        self.screening = screening(trainer, terms)
        self.inner = flowers(terms)
        self._complete = False
        """Whether all sites have been waited for once."""
        self._round = 0

    def train(self, weights: Weights, at: int) -> tuple[Weights, list[Event]]:
        """The common weights after round `at`, which counts from 0, and what became of each site."""
        there, events = self._there(at)
        if self.terms.secure_aggregation == "secagg+":
            after, told = self._masked(there, weights, at, events)
        else:
            updates, told = self._asked(there, weights, at, self._settings(weights, len(there)))
            self.keeper.count(self.terms.minimum, [*events, *told], at)
            after = self._combined(updates, weights, at)
        after = self._kept_apart(after, weights)
        if wrong := problem(after, weights, self.trainer.variances):
            self.keeper.refuse(at, [*events, *told], f"what is made of the updates cannot be used: {wrong}")
        return after, [*events, *told]

    def losses(self, weights: Weights, at: int, events: Sequence[Event]) -> dict[str, float]:
        """The loss of the new weights on the validation images of each site whose update counted.

        Why a site does not measure it stands in its event then. Raises `InputError` when none does.
        """
        trained = {told["client"]: told for told in events if told["event"] == TRAINED}
        there = self.present(tuple(trained), 0)
        found = {}
        for name, reply in self._exchange(there, weights, at, kind=MessageType.EVALUATE).items():
            loss, reason = replies.loss(reply)
            if reason:
                _LOG.warning("round %d: %s does not measure the new weights: %s", at + 1, name, reason)
                trained[name]["reason"] = f"validation: {reason}"
            else:
                found[name] = loss
        if not found:
            said = "; ".join(f"{name}: {told['reason'] or 'is not connected'}" for name, told in trained.items())
            self.keeper.refuse(at, events, "no site measured the new weights on its validation images", said)
        return found

    def recalibrated(self, weights: Weights, at: int) -> Weights:
        """The weights after the last round, with the mean of the moving statistics that all sites measure with them."""
        there, events = self._there(at)
        updates, told = self._asked(there, weights, at, kind=f"{MessageType.TRAIN}.{RECALIBRATE}")
        self.keeper.count(self.terms.minimum, [*events, *told], at)
        measured = average(updates)
        apart = self.trainer.statistics
        return [measured[position] if position in apart else array for position, array in enumerate(weights)]

    def present(self, wanted: Sequence[str], minimum: int) -> dict[str, int]:
        """Node numbers of the wanted sites that are connected.

        Waits `terms.wait` seconds for all of them the first time; later only until there are
        `minimum` of them, since those that were lost may never come back.
        """
        until = time.monotonic() + self.terms.wait
        while True:
            try:
                nodes = named(self.grid, self.terms.sites)
            except InputError as error:
                self.keeper.refuse(self._round, [], str(error))
            there = {name: nodes[name] for name in wanted if name in nodes}
            if len(there) >= (minimum if self._complete else len(wanted)) or time.monotonic() > until:
                return there
            time.sleep(_POLL)

    def _there(self, at: int) -> tuple[dict[str, int], list[Event]]:
        """The sites that can be asked, and the events of those that cannot."""
        self._round = at
        there = self.present(self.terms.sites, self.terms.minimum)
        self._complete = True
        return there, [_away(at, name) for name in self.terms.sites if name not in there]

    def _asked(
        self,
        there: Mapping[str, int],
        weights: Weights,
        at: int,
        settings: Mapping[str, float] | None = None,
        *,
        kind: str = MessageType.TRAIN,
        earlier: Mapping[str, Norms] | None = None,
    ) -> tuple[list[Update], list[Event]]:
        """The updates of these sites that count, and what became of each."""
        received = sum(array.nbytes for array in weights)
        updates, events = [], []
        for name, reply in self._exchange(there, weights, at, settings, kind=kind).items():
            update, what, reason = replies.update(name, reply)
            updates += [] if update is None else [update]
            events.append(event(at, name, what, reason, received=received, update=update))
        verdicts = self.screening.judge(updates, weights, earlier)
        events = [screened(told, verdicts[told["client"]]) if told["client"] in verdicts else told for told in events]
        return [update for update in updates if not verdicts[update.client].reason], events

    def _exchange(
        self,
        there: Mapping[str, int],
        weights: Weights,
        at: int,
        settings: Mapping[str, float] | None = None,
        *,
        kind: str,
    ) -> dict[str, Message | None]:
        """What each site replies; None where it does not in time."""
        arrays, sent = ArrayRecord(weights), {}
        for name, node in there.items():
            config = ConfigRecord({**(settings or {}), "client": name, "round": at})
            sent[name] = Message(RecordDict({"arrays": arrays, "config": config}), node, kind, group_id=str(at + 1))
        heard = {  # the SuperLink lets nobody answer what was sent to another
            reply.metadata.reply_to_message_id: reply
            for reply in self.grid.send_and_receive(list(sent.values()), timeout=self.timeout)
        }
        return {name: heard.get(message.metadata.message_id) for name, message in sent.items()}

    def _settings(self, weights: Weights, count: int) -> Mapping[str, float]:
        """What Flower's own strategy has to tell the sites before they train."""
        if self.inner is None or not private(self.inner) or not count:
            return {}
        settings = ConfigRecord()
        self.inner.num_sampled_clients = count
        self.inner.configure_train(1, ArrayRecord(weights), settings, self.grid)  # it notes the weights
        return {key: value for key, value in settings.items() if key == "clipping_norm"}

    def _combined(self, updates: Sequence[Update], weights: Weights, at: int) -> Weights:
        """One of several updates."""
        if self.inner is None:
            return average(updates, self.terms.policy.weighting)
        if private(self.inner):
            self.inner.num_sampled_clients = len(updates)  # the noise belongs to a mean of so many
        made, _ = self.inner.aggregate_train(at + 1, [_vetted(update) for update in updates])
        return [array.astype(before.dtype) for array, before in zip(made.to_numpy_ndarrays(), weights, strict=True)]

    def _kept_apart(self, after: Weights, before: Weights) -> Weights:
        """`after`, with statistics that sites keep for themselves as they were `before`: noise would spoil them."""
        if self.terms.policy.batch_norm != "local":
            return after
        apart = self.trainer.statistics
        return [before[position] if position in apart else array for position, array in enumerate(after)]

    def _masked(
        self, there: Mapping[str, int], weights: Weights, at: int, events: Sequence[Event]
    ) -> tuple[Weights, list[Event]]:
        """The weights with the mean of the sites' changes, of which the server sees nothing else."""
        change, told = secure.mean_change(self.grid, self.terms, there, weights, at, self.timeout)
        self.keeper.count(self.terms.minimum, [*events, *told], at)
        largest = max((float(np.abs(array).max(initial=0.0)) for array in change), default=math.inf)
        if not largest <= self.terms.secure_range:
            self.keeper.refuse(
                at,
                [*events, *told],
                f"the sum of the masked updates changes a weight by {largest:.3g} a site, more than the "
                f"{self.terms.secure_range:g} that any site may; masked as they are, it cannot be told which one did",
            )
        after = [(before + array).astype(before.dtype) for before, array in zip(weights, change, strict=True)]
        return after, told


class Ring(Rounds):
    """Circular training: the weights go from site to site, each trains them on; a round is once around.

    Where a site fails, the next one gets what the one before it had made.
    """

    def train(self, weights: Weights, at: int) -> tuple[Weights, list[Event]]:
        """The weights after round `at` once around, and what became of each site."""
        self._round, events, known = at, [], self.keeper.changes
        for name in self.terms.order:
            there = self.present((name,), 0)
            if not there:
                events.append(_away(at, name))
                continue
            updates, (told,) = self._asked(there, weights, at, earlier=known)
            events.append(told)
            if updates:
                weights, known[name] = self._kept_apart(updates[0].weights, weights), change_of(told)
        self._complete = True
        self.keeper.count(self.terms.minimum, events, at)
        return weights, events


def screening(trainer: Trainer, terms: Terms) -> Screening:
    """What the terms say about updates that count.

    With privacy nothing may depend on how one site compares with others, else the noise does
    not hide it: the server clips, or holds sites to the norm that they are to clip to.
    """
    clipped = terms.clipping_norm * 1.001 if terms.privacy == "client" else math.inf  # float32's rounding
    bound = terms.policy.norm_bound if terms.privacy == "none" else 0.0
    sizes = dict(zip(terms.sites, terms.sizes, strict=True)) if terms.sizes else {}
    return Screening(trainer.statistics, trainer.variances, bound, clipped, sizes)


def flowers(terms: Terms) -> Strategy | None:
    """Flower's own strategy that makes one of several updates, as the terms say; None: the mean, without noise."""
    common = {"min_train_nodes": 1, "min_available_nodes": 1, "weighted_by_key": "share"}
    if terms.aggregation == "median":
        return FedMedian(**common)
    if terms.aggregation == "trimmed_mean":
        return FedTrimmedAvg(beta=terms.trim, **common)
    if terms.aggregation == "krum":
        return Krum(num_malicious_nodes=terms.malicious, **common)
    arguments = FedAvg(**common), terms.noise_multiplier, terms.clipping_norm, len(terms.sites)
    if terms.privacy == "server":
        return DifferentialPrivacyServerSideFixedClipping(*arguments)
    if terms.privacy == "client":
        return DifferentialPrivacyClientSideFixedClipping(*arguments)
    return None


def private(strategy: Strategy | None) -> bool:
    """Whether Flower's strategy adds noise."""
    return isinstance(strategy, DifferentialPrivacyServerSideFixedClipping | DifferentialPrivacyClientSideFixedClipping)


def named(grid: Grid, sites: Sequence[str]) -> dict[str, int]:
    """Node numbers by site, from the names under which the SuperNodes are registered.

    Nodes have no name in a simulation and without authentication: then they are taken for
    the sites in the order of their numbers.

    Raises `InputError` when two nodes have the name of one site: which of them it is, nobody can know.
    """
    nodes = {node.node_id: node.name for node in grid.get_nodes()}
    if not any(nodes.values()):
        return dict(zip(sites, sorted(nodes), strict=False))
    found: dict[str, int] = {}
    for number, name in sorted(nodes.items()):
        if name in found:
            raise InputError(
                f"site {name}: two SuperNodes are registered under this name, {found[name]} and {number}; keep the one "
                "whose key the site gave you (`flwr supernode unregister NUMBER`), and start the same run again"
            )
        if name in sites:
            found[name] = number
    return found


def _away(at: int, name: str) -> Event:
    return event(at, name, "away", "is not connected")


def _vetted(update: Update) -> Message:
    """An update as Flower's strategies want it. In float64: Krum's distances drown in float32's rounding."""
    arrays = ArrayRecord([np.asarray(array, np.float64) for array in update.weights])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"share": 1})}), 1, MessageType.TRAIN)
