"""What a site's ClientApp does with a message of the server."""

from __future__ import annotations

from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.mod import fixedclipping_mod

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import problem
from cervix_tf.federated.client import Client, Trainer

RECALIBRATE = "recalibrate"
"""Name of the action, beside plain training, with which a site measures moving statistics."""
_KEPT = "kept"


def name_of(message: Message) -> str:
    """The name under which the server knows this site."""
    return message.content["config"]["client"]


def answer(message: Message, context: Context, trainer: Trainer, client: Client) -> Message:
    """The reply to the server: the weights after local training, and how it went.

    What the site keeps for itself from round to round stays in `context`, which never
    leaves its SuperNode, and is lost when that is restarted.

    Raises `InputError` when the server's network is another one.
    """
    weights = message.content["arrays"].to_numpy_ndarrays()
    wrong = problem(weights, trainer.weights)
    if wrong:
        raise InputError(f"the server's weights do not fit this site's network: {wrong}; is it the same version here?")
    if _KEPT in context.state:
        client.kept = context.state[_KEPT].to_numpy_ndarrays()
    if message.metadata.message_type.endswith(RECALIBRATE):
        update = trainer.recalibrate(client, weights)
    else:
        update = trainer.train(client, weights, message.content["config"]["round"])
    if client.kept:
        context.state[_KEPT] = ArrayRecord(client.kept)
    metrics = {"examples": update.examples, "losses": list(update.losses), "seconds": update.seconds}
    content = RecordDict({"arrays": ArrayRecord(update.weights), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


def clipping(message: Message, context: Context, call_next: Any) -> Message:
    """Flower's mod that clips an update before it leaves the site, where the server asks for that."""
    config: ConfigRecord = message.content["config"]
    return (fixedclipping_mod if "clipping_norm" in config else _plain)(message, context, call_next)


def _plain(message: Message, context: Context, call_next: Any) -> Message:
    return call_next(message, context)
