"""What a federation agrees on before its first round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from cervix_tf.errors import InputError
from cervix_tf.ranges import Count, CountOrNone, NotNegative, Range, ZeroOr

Topology = Literal["server", "ring"]


@dataclass(frozen=True)
class Policy:
    """What a federation agrees on before its first round."""

    rounds: Count = 50
    """Client-server: broadcast, local training, averaging. Ring: once around."""
    local_epochs: Count = 1
    """E: epochs that a client trains on its own data before it passes the weights on."""
    weighting: Literal["plain", "by_size"] = "plain"
    """Client-server: whether every client counts equally, or by its number of training images."""
    batch_norm: Literal["average", "local", "recalibrate"] = "average"
    """Moving statistics of batch normalization: averaged (passed on in the ring) like weights; kept by each client, so
    that they never leave it; or, after the last round, measured again with the final weights on every client's data and
    averaged."""
    optimizer: Literal["reset", "persist"] = "reset"
    """Whether a client's optimizer starts again each round, or continues where it stopped."""
    minimum: CountOrNone = 0
    """Clients whose update a round needs; 0 = all. With fewer, the federation ends."""
    deadline: NotNegative = 0.0
    """Seconds of local training after which an update comes too late and is left out; 0 = none."""
    norm_bound: Annotated[float, ZeroOr(Range(1))] = 10.0
    """Refuse an update that changes the weights more than this many times as much as the other clients' updates do
    (median of their L2 norms), whatever is made of the rest; 0 = no limit."""


def ring(clients: Sequence[str], start: str = "") -> tuple[str, ...]:
    """The clients in the order in which the weights go round, `start` first (empty: the first of them).

    Raises `InputError` when `start` is none of them, or a name occurs twice.
    """
    if len(set(clients)) != len(clients):
        raise InputError(f"clients {', '.join(clients)}: a name occurs twice; give each client its own")
    if start and start not in clients:
        raise InputError(f"the ring cannot start at {start!r}: its clients are {', '.join(clients)}")
    at = clients.index(start) if start else 0
    return (*clients[at:], *clients[:at])
