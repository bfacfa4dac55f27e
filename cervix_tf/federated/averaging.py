"""What a server makes of its clients' updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Weights = list[np.ndarray]
"""A network's weights in the order of `keras.Model.weights`: never the state of random generators."""

PIECE = 1 << 15
"""Numbers that are worked on at a time: in float64 they stay in the processor's cache."""


@dataclass(frozen=True)
class Update:
    """What a client sends back: the whole weights, not their change."""

    client: str
    weights: Weights
    examples: int
    """Training images behind it."""
    losses: tuple[float, ...]
    """Mean loss of each local epoch."""
    seconds: float
    """Of local training."""


def average(updates: Sequence[Update], weighting: Literal["plain", "by_size"] = "plain") -> Weights:
    """The mean of the updates' weights, each client counted once or once for each of its images.

    Summed in float64 in the order of the clients' names, so the order in which updates
    arrive changes nothing, and float32 weights are the mean rounded once. The mean of
    equal weights is these weights.

    Raises `ValueError` when there is no update.

    Source: Pal, Xue, Antani, sec. II-B: "we use weight averaging for model aggregation";
    by size: McMahan et al. 2017, algorithm 1.
    """
    if not updates:
        raise ValueError("there is no update to average")
    ordered = sorted(updates, key=lambda update: update.client)
    shares = [update.examples if weighting == "by_size" else 1 for update in ordered]
    if sum(shares) <= 0:
        raise ValueError("an average by size needs clients that have images")
    return [_mean(arrays, shares) for arrays in zip(*(update.weights for update in ordered), strict=True)]


def _mean(arrays: Sequence[np.ndarray], shares: Sequence[int]) -> np.ndarray:
    kind, whole = arrays[0].dtype, sum(shares)
    flat = [np.ravel(array) for array in arrays]
    mean, sums, one = np.empty(flat[0].shape, kind), np.empty(PIECE), np.empty(PIECE)
    for start in range(0, mean.size, PIECE):
        piece = slice(start, min(start + PIECE, mean.size))
        total, term = sums[: piece.stop - start], one[: piece.stop - start]
        for at, (array, share) in enumerate(zip(flat, shares, strict=True)):
            now = term if at else total
            np.copyto(now, array[piece])  # quicker than arithmetic between two types
            if share != 1:
                now *= share
            if at:
                total += term
        total /= whole
        mean[piece] = total if np.issubdtype(kind, np.floating) else np.rint(total)
    return mean.reshape(arrays[0].shape)
