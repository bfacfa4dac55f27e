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
from cervix_tf.federated.flower.federation_config import FederationConfig
from cervix_tf.federated.round_checkpointer import (
    TRAINED,
    Event,
    RoundCheckpointer,
    new_event,
    recorded_change,
    screened,
)
from cervix_tf.federated.screening import Norms, Screening, problem

_LOG = logging.getLogger("flwr")  # its lines reach whoever gave `flwr run --stream`
_POLL = 1.0
_FOREVER = 12 * 3600.0  # as long as Flower keeps a message


class Rounds:
    """Client-server rounds: the weights go to every site, and one comes of the updates that count.

    An update counts when it is there before the deadline and `Screening` lets it pass. Every
    other is left out and reported; the round ends with the rest.

    Raises `InputError` from a round that fewer than `config.minimum` sites contribute to: it
    then stands in the record as refused, and the checkpointer's state is that of the round before.
    """

    def __init__(self, grid: Grid, trainer: Trainer, config: FederationConfig, checkpointer: RoundCheckpointer) -> None:
        self.grid, self.trainer, self.config, self.checkpointer = grid, trainer, config, checkpointer
        self.timeout = config.policy.deadline or _FOREVER
        self.screening = screening(trainer, config)
        self.inner = flower_strategy(config)
        self._complete = False
        """Whether all sites have been waited for once."""
        self._round = 0

    def train(self, weights: Weights, round_index: int) -> tuple[Weights, list[Event]]:
        """The common weights after round `round_index`, which counts from 0, and what became of each site."""
        connected, absent = self._connected(round_index)
        if self.config.secure_aggregation == "secagg+":
            after, events = self._masked(connected, weights, round_index, absent)
        else:
            updates, events = self._ask(connected, weights, round_index, self._settings(weights, len(connected)))
            self.checkpointer.count(self.config.minimum, [*absent, *events], round_index)
            after = self._combined(updates, weights, round_index)
        after = self._kept_apart(after, weights)
        if wrong := problem(after, weights, self.trainer.variances):
            self.checkpointer.refuse(
                round_index, [*absent, *events], f"what is made of the updates cannot be used: {wrong}"
            )
        return after, [*absent, *events]

    def losses(self, weights: Weights, round_index: int, events: Sequence[Event]) -> dict[str, float]:
        """The loss of the new weights on the validation images of each site whose update counted.

        Why a site does not measure it stands in its event then. Raises `InputError` when none does.
        """
        trained = {event["client"]: event for event in events if event["event"] == TRAINED}
        connected = self.present(tuple(trained), 0)
        losses = {}
        for name, reply in self._exchange(connected, weights, round_index, kind=MessageType.EVALUATE).items():
            loss, reason = replies.loss(reply)
            if reason:
                _LOG.warning("round %d: %s does not measure the new weights: %s", round_index + 1, name, reason)
                trained[name]["reason"] = f"validation: {reason}"
            else:
                losses[name] = loss
        if not losses:
            reasons = "; ".join(f"{name}: {event['reason'] or 'is not connected'}" for name, event in trained.items())
            self.checkpointer.refuse(
                round_index, events, "no site measured the new weights on its validation images", reasons
            )
        return losses

    def recalibrated(self, weights: Weights, round_index: int) -> Weights:
        """The weights after the last round, with the moving statistics that all sites measure with them, combined."""
        connected, absent = self._connected(round_index)
        updates, events = self._ask(connected, weights, round_index, kind=f"{MessageType.TRAIN}.{RECALIBRATE}")
        self.checkpointer.count(self.config.minimum, [*absent, *events], round_index)
        in_a_ring = self.config.topology == "ring"
        measured = average(updates) if in_a_ring else self._combined(updates, weights, round_index)
        apart = self.trainer.statistics
        return [measured[position] if position in apart else array for position, array in enumerate(weights)]

    def present(self, wanted: Sequence[str], minimum: int) -> dict[str, int]:
        """Node numbers of the wanted sites that are connected.

        Waits `config.wait` seconds for all of them the first time; later only until there are
        `minimum` of them, since those that were lost may never come back.
        """
        until = time.monotonic() + self.config.wait
        while True:
            try:
                nodes = nodes_by_site(self.grid, self.config.sites)
            except InputError as error:
                self.checkpointer.refuse(self._round, [], str(error))
            connected = {name: nodes[name] for name in wanted if name in nodes}
            if len(connected) >= (minimum if self._complete else len(wanted)) or time.monotonic() > until:
                return connected
            time.sleep(_POLL)

    def _connected(self, round_index: int) -> tuple[dict[str, int], list[Event]]:
        """The sites that can be asked, and the events of those that cannot."""
        self._round = round_index
        connected = self.present(self.config.sites, self.config.minimum)
        self._complete = True
        return connected, [_absent(round_index, name) for name in self.config.sites if name not in connected]

    def _ask(
        self,
        connected: Mapping[str, int],
        weights: Weights,
        round_index: int,
        settings: Mapping[str, float] | None = None,
        *,
        kind: str = MessageType.TRAIN,
        earlier: Mapping[str, Norms] | None = None,
    ) -> tuple[list[Update], list[Event]]:
        """The updates of these sites that count, and what became of each."""
        received = sum(array.nbytes for array in weights)
        updates, events = [], []
        for name, reply in self._exchange(connected, weights, round_index, settings, kind=kind).items():
            update, what, reason = replies.update(name, reply)
            updates += [] if update is None else [update]
            events.append(new_event(round_index, name, what, reason, received=received, update=update))
        results = self.screening.judge(updates, weights, earlier)
        events = [
            screened(event, results[event["client"]]) if event["client"] in results else event for event in events
        ]
        return [update for update in updates if not results[update.client].reason], events

    def _exchange(
        self,
        connected: Mapping[str, int],
        weights: Weights,
        round_index: int,
        settings: Mapping[str, float] | None = None,
        *,
        kind: str,
    ) -> dict[str, Message | None]:
        """What each site replies; None where it does not in time."""
        arrays, sent = ArrayRecord(weights), {}
        for name, node in connected.items():
            instructions = ConfigRecord({**(settings or {}), "client": name, "round": round_index})
            sent[name] = Message(
                RecordDict({"arrays": arrays, "config": instructions}), node, kind, group_id=str(round_index + 1)
            )
        by_message = {  # the SuperLink lets nobody answer what was sent to another
            reply.metadata.reply_to_message_id: reply
            for reply in self.grid.send_and_receive(list(sent.values()), timeout=self.timeout)
        }
        return {name: by_message.get(message.metadata.message_id) for name, message in sent.items()}

    def _settings(self, weights: Weights, count: int) -> Mapping[str, float]:
        """What Flower's own strategy has to tell the sites before they train."""
        if self.inner is None or not adds_noise(self.inner) or not count:
            return {}
        settings = ConfigRecord()
        self.inner.num_sampled_clients = count
        self.inner.configure_train(1, ArrayRecord(weights), settings, self.grid)  # it notes the weights
        return {key: value for key, value in settings.items() if key == "clipping_norm"}

    def _combined(self, updates: Sequence[Update], weights: Weights, round_index: int) -> Weights:
        """One of several updates."""
        if self.inner is None:
            return average(updates, self.config.policy.weighting)
        share = 1.0
        if adds_noise(self.inner):
            # Flower's noise is that of a mean of so many updates. Divided by the number of all sites instead, as the
            # changes are, one site more or less shifts the sum by at most the clipping norm (`privacy.epsilon`).
            self.inner.num_sampled_clients = len(updates)
            share = len(updates) / len(self.config.sites)
        made, _ = self.inner.aggregate_train(round_index + 1, [_as_reply(update) for update in updates])
        return [
            (before + share * (array - before)).astype(before.dtype)
            for array, before in zip(made.to_numpy_ndarrays(), weights, strict=True)
        ]

    def _kept_apart(self, after: Weights, before: Weights) -> Weights:
        """`after`, with statistics that sites keep for themselves as they were `before`: noise would spoil them."""
        if self.config.policy.batch_norm != "local":
            return after
        apart = self.trainer.statistics
        return [before[position] if position in apart else array for position, array in enumerate(after)]

    def _masked(
        self, connected: Mapping[str, int], weights: Weights, round_index: int, absent: Sequence[Event]
    ) -> tuple[Weights, list[Event]]:
        """The weights with the mean of the sites' changes, of which the server sees nothing else."""
        change, events = secure.mean_change(self.grid, self.config, connected, weights, round_index, self.timeout)
        self.checkpointer.count(self.config.minimum, [*absent, *events], round_index)
        largest = max((float(np.abs(array).max(initial=0.0)) for array in change), default=math.inf)
        if not largest <= self.config.secure_range:
            self.checkpointer.refuse(
                round_index,
                [*absent, *events],
                f"the sum of the masked updates changes a weight by {largest:.3g} a site, more than the "
                f"{self.config.secure_range:g} that any site may; masked as they are, it cannot be told which one did",
            )
        after = [(before + array).astype(before.dtype) for before, array in zip(weights, change, strict=True)]
        return after, events


class Ring(Rounds):
    """Circular training: the weights go from site to site, each trains them on; a round is once around.

    Where a site fails, the next one gets what the one before it had made.
    """

    def train(self, weights: Weights, round_index: int) -> tuple[Weights, list[Event]]:
        """The weights after round `round_index` once around, and what became of each site."""
        self._round, events, known = round_index, [], self.checkpointer.changes
        for name in self.config.order:
            connected = self.present((name,), 0)
            if not connected:
                events.append(_absent(round_index, name))
                continue
            updates, (event,) = self._ask(connected, weights, round_index, earlier=known)
            events.append(event)
            if updates:
                weights, known[name] = self._kept_apart(updates[0].weights, weights), recorded_change(event)
        self._complete = True
        self.checkpointer.count(self.config.minimum, events, round_index)
        return weights, events


def screening(trainer: Trainer, config: FederationConfig) -> Screening:
    """What the config says about updates that count.

    With privacy nothing may depend on how one site compares with others, else the noise does
    not hide it: the server clips, or holds sites to the norm that they are to clip to.
    """
    clipped = config.clipping_norm * 1.001 if config.privacy == "client" else math.inf  # float32's rounding
    bound = config.policy.norm_bound if config.privacy == "none" else 0.0
    sizes = dict(zip(config.sites, config.sizes, strict=True)) if config.sizes else {}
    return Screening(trainer.statistics, trainer.variances, bound, clipped, sizes)


def flower_strategy(config: FederationConfig) -> Strategy | None:
    """Flower's own strategy that makes one of several updates, as the config says; None: the mean, without noise."""
    common = {"min_train_nodes": 1, "min_available_nodes": 1, "weighted_by_key": "share"}
    if config.aggregation == "median":
        return FedMedian(**common)
    if config.aggregation == "trimmed_mean":
        return FedTrimmedAvg(beta=config.trim, **common)
    if config.aggregation == "krum":
        return Krum(num_malicious_nodes=config.malicious, **common)
    arguments = FedAvg(**common), config.noise_multiplier, config.clipping_norm, len(config.sites)
    if config.privacy == "server":
        return DifferentialPrivacyServerSideFixedClipping(*arguments)
    if config.privacy == "client":
        return DifferentialPrivacyClientSideFixedClipping(*arguments)
    return None


def adds_noise(strategy: Strategy | None) -> bool:
    """Whether Flower's strategy adds noise."""
    return isinstance(strategy, DifferentialPrivacyServerSideFixedClipping | DifferentialPrivacyClientSideFixedClipping)


def nodes_by_site(grid: Grid, sites: Sequence[str]) -> dict[str, int]:
    """Node numbers by site, from the names under which the SuperNodes are registered.

    Nodes have no name in a simulation and without authentication: then they are taken for
    the sites in the order of their numbers.

    Raises `InputError` when two nodes have the name of one site: which of them it is, nobody can know.
    """
    nodes = {node.node_id: node.name for node in grid.get_nodes()}
    if not any(nodes.values()):
        return dict(zip(sites, sorted(nodes), strict=False))
    numbers: dict[str, int] = {}
    for number, name in sorted(nodes.items()):
        if name in numbers:
            raise InputError(
                f"site {name}: two SuperNodes are registered under this name, {numbers[name]} and {number}; keep the "
                "one whose key the site gave you (`flwr supernode unregister NUMBER` for the other)"
            )
        if name in sites:
            numbers[name] = number
    return numbers


def _absent(round_index: int, name: str) -> Event:
    return new_event(round_index, name, "away", "is not connected")


def _as_reply(update: Update) -> Message:
    """An update as Flower's strategies want it. In float64: Krum's distances drown in float32's rounding."""
    arrays = ArrayRecord([np.asarray(array, np.float64) for array in update.weights])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"share": 1})}), 1, MessageType.TRAIN)
