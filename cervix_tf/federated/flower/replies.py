"""What is in a site's reply, whatever it sends."""

from __future__ import annotations

import math

from flwr.app import Message

from cervix_tf.federated.averaging import Update
from cervix_tf.federated.round_checkpointer import TRAINED

_LONGEST = 300


def failure(reply: Message | None) -> tuple[str, str]:
    """What became of a site, and why; both empty where its reply has content."""
    if reply is None:
        return "late", "gave no answer in time"
    return ("died", f"answered: {printable(reply.error.reason)}") if reply.has_error() else ("", "")


def update(name: str, reply: Message | None) -> tuple[Update | None, str, str]:
    """The update in a reply to training, what became of it, and why it does not count if so."""
    what, reason = failure(reply)
    if reply is None or what:
        return None, what, reason
    try:
        metrics, weights = reply.content["metrics"], reply.content["arrays"].to_numpy_ndarrays()
        losses = tuple(float(loss) for loss in metrics["losses"])
        return Update(name, weights, int(metrics["examples"]), losses, float(metrics["seconds"])), TRAINED, ""
    except Exception as error:  # the others go on
        return None, "refused", _unreadable(error)


def loss(reply: Message | None) -> tuple[float, str]:
    """The loss in a reply to validation, and why it does not count if so."""
    _, reason = failure(reply)
    if reply is None or reason:
        return math.nan, reason
    try:
        value = float(reply.content["metrics"]["loss"])
    except Exception as error:
        return math.nan, _unreadable(error)
    return value, "" if math.isfinite(value) else f"its loss is {value}"


def printable(text: str) -> str:
    """What a site says, fit for a line of a log and a cell of a table."""
    return "".join(char if char.isprintable() else " " for char in text.strip())[:_LONGEST]


def _unreadable(error: Exception) -> str:
    return f"what it sent cannot be read ({printable(f'{type(error).__name__}: {error}')})"
