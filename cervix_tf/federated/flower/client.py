"""What a site's ClientApp does with a message of the server."""

from __future__ import annotations

from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.mod import fixedclipping_mod

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.screening import problem

RECALIBRATE = "recalibrate"
"""Name of the action, beside plain training, with which a site measures moving statistics."""
_KEPT = "kept"


def site_name(message: Message) -> str:
    """The name under which the server knows this site."""
    return message.content["config"]["client"]


def answer(message: Message, context: Context, trainer: Trainer, client: Client) -> Message:
    """The reply to the server: the weights after local training, and how it went.

    What the site keeps for itself from round to round stays in `context`, which never
    leaves its SuperNode, and is lost when that is restarted.

    Raises `InputError` when the server's network is another one.
    """
    weights = _received(message, context, trainer, client)
    if message.metadata.message_type.endswith(RECALIBRATE):
        update = trainer.recalibrate(client, weights)
    else:
        update = trainer.train(client, weights, message.content["config"]["round"])
    if client.kept:
        context.state[_KEPT] = ArrayRecord(client.kept)
    metrics = {"examples": update.examples, "losses": list(update.losses), "seconds": update.seconds}
    content = RecordDict({"arrays": ArrayRecord(update.weights), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


def measure(message: Message, context: Context, trainer: Trainer, client: Client) -> Message:
    """The reply to the server: the loss of its weights on the site's validation images.

    Raises `InputError` when there are none, or the server's network is another one.
    """
    loss = trainer.loss(client, _received(message, context, trainer, client))
    return Message(RecordDict({"metrics": MetricRecord({"loss": loss})}), reply_to=message)


def clipping(message: Message, context: Context, call_next: Any) -> Message:
    """Flower's mod that clips an update before it leaves the site, where the server asks for that."""
    if "clipping_norm" in message.content["config"]:
        return fixedclipping_mod(message, context, call_next)
    return call_next(message, context)


def _received(message: Message, context: Context, trainer: Trainer, client: Client) -> Weights:
    """The server's weights; the client gets what it kept."""
    weights = message.content["arrays"].to_numpy_ndarrays()
    if wrong := problem(weights, trainer.weights):
        raise InputError(f"the server's weights do not fit this site's network: {wrong}; is it the same version here?")
    if _KEPT in context.state:
        client.kept = context.state[_KEPT].to_numpy_ndarrays()
    return weights
