"""Rounds with sites that may fail: who is asked, which answers count, and what Flower makes of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence

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

from cervix_tf.federated.averaging import Update, Weights, average, problem
from cervix_tf.federated.flower.client import RECALIBRATE
from cervix_tf.federated.flower.terms import Terms
from cervix_tf.federated.keeper import Event, check

_LOG = logging.getLogger("flwr")  # its lines reach whoever gave `flwr run --stream`
_POLL = 1.0


class Rounds(Strategy):
    """Client-server rounds: the weights go to every site, Flower's strategy makes one of the updates that count.

    An update counts when it is there before the deadline, fits the network and is finite
    throughout. Every other is left out and reported; the round ends with the rest.

    Args:
        terms: Of the federation.
        fixed: Positions, among the weights, of those that stay as they are: moving statistics
            that sites keep for themselves, which noise would spoil.
        done: Rounds of an earlier run that this one goes on from.

    Raises `InputError` from a round that fewer than `terms.minimum` sites contribute to.
    """

    def __init__(self, terms: Terms, fixed: Sequence[int], done: int = 0) -> None:
        self.terms, self.fixed, self.done = terms, fixed, done
        self.events: list[Event] = []
        """What became of each site in the present round."""
        self.inner = flowers(terms)
        self.private = isinstance(
            self.inner, DifferentialPrivacyServerSideFixedClipping | DifferentialPrivacyClientSideFixedClipping
        )
        self.steps = terms.policy.rounds - done
        """Steps of Flower's that are left: here rounds."""
        self._round, self._before = 0, list[np.ndarray]()
        self._sent: list[tuple[str, Message]] = []

    def round_of(self, server_round: int) -> int:
        """The round, from 0, that Flower's step belongs to; its steps count from 1."""
        return self.done + server_round - 1

    def ends(self, server_round: int) -> bool:
        """Whether a round ends with this step of Flower's."""
        return True

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message to each site that is there."""
        self._round, self._before = self.round_of(server_round), arrays.to_numpy_ndarrays()
        there = self.present(grid, self.terms.sites, self.terms.minimum)
        for name in self.terms.sites:
            if name not in there:
                self._tell(name, "away", "is not connected")
        if self.private and there:
            self.inner.num_sampled_clients = len(there)
            self.inner.configure_train(server_round, arrays, config, grid)  # it notes the weights, sets the clipping
        return self._messages(there, arrays, config)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """What Flower's strategy makes of the updates that count."""
        updates = self._updates(replies)
        check(self.terms.minimum, self.events, self._round)
        if self.private:
            self.inner.num_sampled_clients = len(updates)  # the noise belongs to a mean of so many
        made, _ = self.inner.aggregate_train(server_round, [self._vetted(update) for update in updates])
        after = [
            before if at in self.fixed else array.astype(before.dtype)
            for at, (array, before) in enumerate(zip(made.to_numpy_ndarrays(), self._before, strict=True))
        ]
        return ArrayRecord(after), _mean_loss(updates)

    def configure_evaluate(self, *_: object) -> Iterable[Message]:
        """Nothing: the final model is evaluated by `cervix_tf.evaluate`."""
        return []

    def aggregate_evaluate(self, *_: object) -> None:
        """Nothing."""

    def summary(self) -> None:
        """Log what Flower's strategy has to say about itself."""
        self.inner.summary()

    def present(self, grid: Grid, wanted: Sequence[str], minimum: int) -> dict[str, int]:
        """Node numbers of the wanted sites that are connected.

        Waits `terms.wait` seconds for all of them; from the second round on only until there
        are `minimum` of them, since those that were lost may never come back.
        """
        until = time.monotonic() + self.terms.wait
        while True:
            nodes = _named(grid, self.terms.sites)
            there = {name: nodes[name] for name in wanted if name in nodes}
            enough = len(wanted) if self._round == self.done else minimum
            if len(there) >= enough or time.monotonic() > until:
                return there
            time.sleep(_POLL)

    def recalibrated(self, grid: Grid, weights: Weights, timeout: float) -> Weights:
        """The weights after the last round, with the mean of the moving statistics that all sites measure with them."""
        self._round, self._before = self.terms.policy.rounds, weights
        there = self.present(grid, self.terms.sites, self.terms.minimum)
        messages = self._messages(there, ArrayRecord(weights), ConfigRecord(), f".{RECALIBRATE}")
        updates = self._updates(grid.send_and_receive(messages, timeout=timeout))
        check(self.terms.minimum, self.events, self._round)
        return average(updates)

    def _messages(
        self, there: dict[str, int], arrays: ArrayRecord, config: ConfigRecord, action: str = ""
    ) -> list[Message]:
        self._sent = []
        for name, node in there.items():
            own = ConfigRecord({**config, "client": name, "round": self._round})
            content = RecordDict({"arrays": arrays, "config": own})
            self._sent.append((name, Message(content, node, MessageType.TRAIN + action, group_id=str(self._round + 1))))
        return [message for _, message in self._sent]

    def _updates(self, replies: Iterable[Message]) -> list[Update]:
        """The updates that count, in the sites' order; the others are reported."""
        by_message = {reply.metadata.reply_to_message_id: reply for reply in replies}
        good = []
        for name, sent in self._sent:
            update, what, reason = _read(name, by_message.get(sent.metadata.message_id), self._before)
            self._tell(name, what, reason, update)
            if update is not None and not reason:
                good.append(update)
        return good

    def _vetted(self, update: Update) -> Message:
        """An update as Flower's strategies want it. In float64: Krum's distances drown in float32's rounding."""
        share = update.examples if self.terms.policy.weighting == "by_size" else 1
        sent = next(message for name, message in self._sent if name == update.client)
        arrays = ArrayRecord([np.asarray(array, np.float64) for array in update.weights])
        return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"share": share})}), reply_to=sent)

    def take_events(self) -> list[Event]:
        """What became of each site in the round that has ended."""
        events, self.events = self.events, []
        return events

    def _tell(self, name: str, what: str, reason: str = "", update: Update | None = None) -> None:
        if reason:
            _LOG.warning("round %d: %s %s; goes on without it", self._round + 1, name, reason)
        event: Event = {"round": self._round + 1, "client": name, "event": what, "reason": reason, "loss": math.nan}
        sent = sum(array.nbytes for array in self._before) if what != "away" else 0
        event |= {"examples": 0, "seconds": math.nan, "bytes_received": sent, "bytes_sent": 0}
        if update is not None:
            event |= {
                "loss": update.losses[-1] if update.losses else math.nan,
                "examples": update.examples,
                "seconds": round(update.seconds, 3),
                "bytes_sent": sum(array.nbytes for array in update.weights),
            }
        self.events.append(event)


class Ring(Rounds):
    """Circular training: the weights go from site to site, each trains them on; a round is once around.

    A step of Flower's is one site. Where a site fails, the next one gets what the one before it had made.
    """

    def __init__(self, terms: Terms, fixed: Sequence[int], done: int = 0) -> None:
        super().__init__(terms, fixed, done)
        self.steps *= len(terms.sites)

    def round_of(self, server_round: int) -> int:
        """The time around, from 0."""
        return self.done + (server_round - 1) // len(self.terms.sites)

    def ends(self, server_round: int) -> bool:
        """Whether this is the last site of a time around."""
        return server_round % len(self.terms.sites) == 0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message to the site whose turn it is."""
        self._round, self._before = self.round_of(server_round), arrays.to_numpy_ndarrays()
        name = self.terms.order[(server_round - 1) % len(self.terms.sites)]
        there = self.present(grid, (name,), 0)
        if not there:
            self._tell(name, "away", "is not connected")
        return self._messages(there, arrays, config)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The site's weights as they came."""
        updates = self._updates(replies)
        if self.ends(server_round):
            check(self.terms.minimum, self.events, self._round)
        return (ArrayRecord(updates[0].weights), _mean_loss(updates)) if updates else (None, None)

    def summary(self) -> None:
        """Log the way round."""
        _LOG.info("ring: %s", " -> ".join(self.terms.order))


def flowers(terms: Terms) -> Strategy:
    """Flower's own strategy that makes one of several updates, as the terms say."""
    common = {"min_train_nodes": 1, "min_available_nodes": 1, "weighted_by_key": "share"}
    if terms.aggregation == "median":
        return FedMedian(**common)
    if terms.aggregation == "trimmed_mean":
        return FedTrimmedAvg(beta=terms.trim, **common)
    if terms.aggregation == "krum":
        return Krum(num_malicious_nodes=terms.malicious, **common)
    mean = FedAvg(**common)
    if terms.privacy == "server":
        return DifferentialPrivacyServerSideFixedClipping(
            mean, terms.noise_multiplier, terms.clipping_norm, len(terms.sites)
        )
    if terms.privacy == "client":
        return DifferentialPrivacyClientSideFixedClipping(
            mean, terms.noise_multiplier, terms.clipping_norm, len(terms.sites)
        )
    return mean


def _named(grid: Grid, sites: Sequence[str]) -> dict[str, int]:
    """Node numbers by site, from the names under which the SuperNodes are registered.

    Nodes have no name in a simulation and without authentication: then they are taken for
    the sites in the order of their numbers.
    """
    nodes = {node.node_id: node.name for node in grid.get_nodes()}
    if any(nodes.values()):
        return {name: number for number, name in nodes.items() if name in sites}
    return dict(zip(sites, sorted(nodes), strict=False))


def _read(name: str, reply: Message | None, like: Weights) -> tuple[Update | None, str, str]:
    """The update in a site's reply, what became of it, and why it does not count if so."""
    if reply is None:
        return None, "late", "gave no answer in time"
    if reply.has_error():
        return None, "died", reply.error.reason.strip().replace("\n", " ")
    try:
        metrics = reply.content["metrics"]
        weights = reply.content["arrays"].to_numpy_ndarrays()
        update = Update(name, weights, int(metrics["examples"]), tuple(metrics["losses"]), float(metrics["seconds"]))
    except Exception as error:  # whatever a site sends, the others go on
        return None, "refused", f"what it sent cannot be read ({type(error).__name__}: {error})"
    reason = problem(weights, like) or ("" if update.examples > 0 else f"{update.examples} training images")
    return update, "refused" if reason else "trained", reason


def _mean_loss(updates: Sequence[Update]) -> MetricRecord | None:
    last = [update.losses[-1] for update in updates if update.losses]
    return MetricRecord({"loss": float(np.mean(last))}) if last else None
