"""What a server makes of its clients' updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Weights = list[np.ndarray]
"""A network's weights in the order of `keras.Model.weights`: never the state of random generators."""

_PIECE = 1 << 15
"""Numbers that are averaged at a time: their sums in float64 stay in the processor's cache."""


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
    mean = np.empty(flat[0].shape, kind)
    for start in range(0, mean.size, _PIECE):
        piece = slice(start, start + _PIECE)
        total = np.multiply(flat[0][piece], shares[0], dtype=np.float64)
        for array, share in zip(flat[1:], shares[1:], strict=True):
            total += array[piece] if share == 1 else np.multiply(array[piece], share, dtype=np.float64)
        total /= whole
        mean[piece] = total if np.issubdtype(kind, np.floating) else np.rint(total)
    return mean.reshape(arrays[0].shape)


def problem(weights: Sequence[np.ndarray], like: Sequence[np.ndarray]) -> str:
    """Why weights that came from a client cannot be used in place of `like`; empty when they can."""
    if len(weights) != len(like):
        return f"{len(weights)} arrays instead of {len(like)}"
    for at, (array, expected) in enumerate(zip(weights, like, strict=True)):
        if array.shape != expected.shape:
            return f"array {at} has the shape {array.shape} instead of {expected.shape}"
        if array.dtype != expected.dtype:
            return f"array {at} is {array.dtype} instead of {expected.dtype}"
        with np.errstate(all="ignore"):
            surely_finite = np.isfinite(array.sum())  # quicker than to look at each number, which settles the rest
        if not surely_finite and not np.isfinite(array).all():
            return f"array {at} holds {np.count_nonzero(~np.isfinite(array))} values that are not finite"
    return ""
