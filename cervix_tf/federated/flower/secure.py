"""Flower's secure aggregation: the server gets the sum of the sites' changes, and none of the changes.

Flower's protocol (SecAgg+) is written for its older messages; this is the bridge to ours.
Each site adds masks to its change that cancel out in the sum of all, and shares their keys
with the others, so that the sum can be had when one of them is lost on the way.

Source: Bell et al. 2020, "Secure single-server aggregation with (poly)logarithmic overhead".

Departs: Flower 1.41 draws the masks from NumPy's generator with seeds of 32 bits. That
keeps a server from reading along, not one that is ready to try all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.serverapp import Grid

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights
from cervix_tf.federated.flower import replies
from cervix_tf.federated.flower.federation_config import FederationConfig
from cervix_tf.federated.round_checkpointer import TRAINED, UNUSED, Event, new_event

SETTING, SECAGG = "secure-aggregation", "secagg+"
_BITS = 32
"""Of the numbers that are summed."""


def masking(message: Message, context: Context, call_next: Any) -> Message:
    """Flower's mod that masks an update before it leaves the site, where the server's message belongs to that protocol.

    A site whose node config demands `secure-aggregation='secagg+'` gives its weights in no other way.

    Raises `InputError` when it is asked to.
    """
    if RECORD_KEY_CONFIGS in message.content:
        return secaggplus_mod(message, context, _as_fit(call_next))
    if context.node_config.get(SETTING) == SECAGG and message.metadata.message_type.startswith("train"):
        raise InputError(
            f"this site sends its weights masked or not at all (its node config); run with {SETTING}='{SECAGG}'"
        )
    return call_next(message, context)


def _as_fit(call_next: Any) -> Any:
    """Local training with the message and the reply that Flower's mod knows: the change in place of the weights."""

    def fit(message: Message, context: Context) -> Message:
        asked = message.content
        config = asked["fitins.config"]
        weights = asked["fitins.parameters"].to_numpy_ndarrays()
        message.content = RecordDict({"arrays": ArrayRecord(weights), "config": config})
        reply = call_next(message, context)
        message.content = asked
        metrics = reply.content["metrics"]
        trained = reply.content["arrays"].to_numpy_ndarrays()
        change = [after.astype(np.float64) - before for after, before in zip(trained, weights, strict=True)]
        largest = max(float(np.abs(array).max(initial=0.0)) for array in change)
        if not largest <= config["range"]:
            raise InputError(
                f"a weight changes by {largest:.3g}, and at most {config['range']:g} can be sent masked; "
                "raise secure-range, or train less in a round"
            )
        summary = {"examples": metrics["examples"], "loss": metrics["losses"][-1], "seconds": metrics["seconds"]}
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(change), num_examples=1, metrics=summary)
        return Message(compat.fitres_to_recorddict(result, keep_input=False), reply_to=message)

    return fit


def mean_change(
    grid: Grid,
    config: FederationConfig,
    connected: Mapping[str, int],
    weights: Weights,
    round_index: int,
    timeout: float,
) -> tuple[Weights, list[Event]]:
    """The mean of what sites change, and what became of each site; no change at all where too few of them are left."""
    listening = _Listening(grid)
    strategy = _Strategy(connected, weights, {"range": config.secure_range, "round": round_index})
    if len(connected) < config.minimum:
        listening.broken = "was not asked: too few sites are connected"
    else:
        context = LegacyContext(Context(0, 0, {}, RecordDict(), {}), strategy=strategy)
        context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: round_index + 1})
        context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
        spare = (len(connected) - 1).bit_length()
        workflow = SecAggPlusWorkflow(
            num_shares=1.0,  # every site holds a part of every other's keys
            reconstruction_threshold=config.minimum / len(connected),
            max_weight=1.0,
            clipping_range=config.secure_range,
            quantization_range=2 ** (_BITS - 1 - spare),  # as fine as the sum of so many leaves room for
            modulus_range=2**_BITS,
            timeout=timeout,
        )
        try:
            workflow(listening, context)
        except Exception as error:  # whatever a site sends; the protocol does not say which one it was
            listening.broken = f"the protocol failed ({replies.printable(f'{type(error).__name__}: {error}')})"
    return strategy.change, [
        _event(round_index, name, node, weights, strategy, listening) for name, node in connected.items()
    ]


def _event(
    round_index: int, name: str, node: int, weights: Weights, strategy: _Strategy, listening: _Listening
) -> Event:
    received = sum(array.nbytes for array in weights)
    if node not in strategy.metrics:
        broken = listening.broken or "too few sites were left to unmask the sum"
        what, reason = listening.lost.get(node, (UNUSED, broken))
        return new_event(round_index, name, what, reason, received=received)
    metrics = strategy.metrics[node]
    try:
        update = Update(name, [], int(metrics["examples"]), (float(metrics["loss"]),), float(metrics["seconds"]))
    except Exception:  # whatever a site says beside its masked update, that is in the sum
        update = Update(name, [], 0, (), math.nan)
    return {
        **new_event(round_index, name, TRAINED, received=received, update=update),
        "bytes_sent": listening.bytes.get(node, 0),
    }


class _Strategy:
    """What Flower's protocol asks of a strategy: whom to ask what, and where the sum goes."""

    def __init__(self, connected: Mapping[str, int], weights: Weights, config: Mapping[str, Any]) -> None:
        self.connected, self.weights, self.config = connected, weights, config
        self.change: Weights = []
        self.metrics: dict[int, Mapping[str, Any]] = {}

    def configure_fit(self, *_: object) -> list[tuple[Any, FitIns]]:
        parameters = ndarrays_to_parameters(self.weights)
        return [
            (SimpleNamespace(node_id=node), FitIns(parameters, {**self.config, "client": name}))
            for name, node in self.connected.items()
        ]

    def aggregate_fit(self, _: int, results: list[tuple[Any, FitRes]], __: object) -> tuple[None, dict]:
        self.metrics = {proxy.node_id: result.metrics for proxy, result in results}
        if results:
            self.change = parameters_to_ndarrays(results[0][1].parameters)  # Flower puts the mean in all of them
        return None, {}


class _Listening:
    """A grid that remembers who failed, and how many masked bytes each site sent."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.broken = grid, ""
        self.lost: dict[int, tuple[str, str]] = {}
        self.bytes: dict[int, int] = {}

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        messages = list(messages)
        replied = list(self.grid.send_and_receive(messages, timeout=timeout))
        heard = {reply.metadata.reply_to_message_id: reply for reply in replied}
        for message in messages:
            node, reply = message.metadata.dst_node_id, heard.get(message.metadata.message_id)
            what, reason = replies.failure(reply)
            if reply is None or what:
                self.lost.setdefault(node, (what, reason))
            else:
                masked = reply.content.config_records[RECORD_KEY_CONFIGS].get(Key.MASKED_PARAMETERS, [])
                self.bytes[node] = self.bytes.get(node, 0) + sum(map(len, masked))
        return replied
