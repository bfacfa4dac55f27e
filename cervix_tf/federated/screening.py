"""Which of a round's updates can be used: they fit, they are finite, and they change no more than the others do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cervix_tf.federated.averaging import PIECE, Update, Weights

NEGLIGIBLE = 0.1
"""A change of at most this share of the weights' own norm is never too large: clients that have nothing left to learn
hardly change anything, and are no measure for one that still learns."""


class Norms(NamedTuple):
    """L2 norms of weights or of their change, moving statistics apart: these can be a thousand times as large."""

    weights: float
    statistics: float


UNKNOWN = Norms(math.nan, math.nan)


def norms(weights: Sequence[np.ndarray], statistics: Sequence[int], before: Sequence[np.ndarray] = ()) -> Norms:
    """Norms of `weights`, or of how far they are from `before`; not finite where a number among them is not."""
    narrow = _norms(weights, statistics, before, np.float32)  # half the time
    return narrow if math.isfinite(sum(narrow)) else _norms(weights, statistics, before, np.float64)


def _norms(
    weights: Sequence[np.ndarray], statistics: Sequence[int], before: Sequence[np.ndarray], kind: type[np.floating]
) -> Norms:
    squares, apart, scratch = [0.0, 0.0], set(statistics), np.empty(PIECE, kind)
    for at, array in enumerate(weights):
        flat, origin = np.ravel(array), np.ravel(before[at]) if len(before) else np.zeros(1, array.dtype)
        for start in range(0, flat.size, PIECE):
            piece = flat[start : start + PIECE]
            difference = scratch[: piece.size]
            with np.errstate(all="ignore"):
                from_here = origin[start : start + PIECE] if len(before) else origin
                np.subtract(piece, from_here, out=difference, dtype=kind, casting="same_kind")
                squares[at in apart] += float(np.einsum("i,i->", difference, difference))
    return Norms(math.sqrt(squares[0]), math.sqrt(squares[1]))


def misfit(weights: Sequence[np.ndarray], like: Sequence[np.ndarray]) -> str:
    """Why weights are not those of the network that has `like`; empty when they are."""
    if len(weights) != len(like):
        return f"{len(weights)} arrays instead of {len(like)}"
    for at, (array, expected) in enumerate(zip(weights, like, strict=True)):
        if array.shape != expected.shape:
            return f"array {at} has the shape {array.shape} instead of {expected.shape}"
        if array.dtype != expected.dtype:
            return f"array {at} is {array.dtype} instead of {expected.dtype}"
    return ""


def problem(weights: Sequence[np.ndarray], like: Sequence[np.ndarray], variances: Sequence[int] = ()) -> str:
    """Why weights cannot be used in place of `like`; empty when they can. `variances`: positions of moving ones."""
    return misfit(weights, like) or _not_finite(weights) or _negative(weights, variances)


def _not_finite(weights: Sequence[np.ndarray]) -> str:
    for at, array in enumerate(weights):
        with np.errstate(all="ignore"):
            surely_finite = np.isfinite(array.sum())  # quicker than to look at each number, which settles the rest
        if not surely_finite and not np.isfinite(array).all():
            return f"array {at} holds {np.count_nonzero(~np.isfinite(array))} values that are not finite"
    return ""


def _negative(weights: Sequence[np.ndarray], variances: Sequence[int]) -> str:
    for at in variances:
        if (lowest := weights[at].min(initial=0.0)) < 0:
            return f"array {at} holds {np.count_nonzero(weights[at] < 0)} variances below 0, the lowest {lowest:.3g}"
    return ""


class ScreeningResult(NamedTuple):
    """What became of an update that was looked at."""

    reason: str
    """Why it is refused; empty when it can be used."""
    change: Norms
    """How far it moved the weights it started from; NaN where that cannot be said."""


@dataclass(frozen=True)
class Screening:
    """Looks at updates before they have a part in anything.

    One by one: arrays, shapes and types are the network's, every number is finite, no moving
    variance is below 0, losses are finite, and the number of training images is the one the
    client is registered with. Then against each other: an update is refused when it changes
    the weights more than `bound` times as much as the other clients' updates do, by the
    median of their L2 norms; trained weights and moving statistics are compared apart. A
    client may change them more by as many times as it has more images than another. A change
    of at most a tenth of the weights' own norm is never too large (`NEGLIGIBLE`).

    Of three and more updates the median tells who is wrong. Of two it cannot be told: when one
    is that much larger, both are refused. A single one is measured by the weights it started
    from: it may change the trained ones by `bound` times their norm.

    So one update moves a mean of n by at most `bound` / n of what the others do. Against a
    client that lies in small steps this does not help: robust strategies do.
    """

    statistics: Sequence[int]
    """Positions of moving statistics among the weights."""
    variances: Sequence[int]
    """Those of moving variances."""
    bound: float = 10.0
    """0: none."""
    limit: float = math.inf
    """Largest norm of a change, whatever the others do: what clients clip to before they send."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Training images with which each client is registered; a client that is not in it may have any number."""

    def judge(
        self, updates: Sequence[Update], before: Weights, earlier: Mapping[str, Norms] | None = None
    ) -> dict[str, ScreeningResult]:
        """What screening says of each client's update, all from the weights `before`.

        `earlier`: what the last updates of other clients changed, where they come one after the other.
        """
        results = {update.client: self._alone(update, before) for update in updates}
        good = {name: result.change for name, result in results.items() if not result.reason}
        if not self.bound or not good:
            return results
        known = {**(earlier or {}), **good}
        reasons = {name: self._excess(name, known, before) for name in good}
        if len(good) == len(known) == 2 and any(reasons.values()):
            details = "; ".join(f"{name} {reason}" for name, reason in reasons.items() if reason)
            reasons = dict.fromkeys(good, f"{details}; of two updates it cannot be told which is wrong, if any")
        return results | {name: ScreeningResult(reason, good[name]) for name, reason in reasons.items()}

    def _alone(self, update: Update, before: Weights) -> ScreeningResult:
        """What can be said of an update without the others."""
        if wrong := misfit(update.weights, before):
            return ScreeningResult(wrong, UNKNOWN)
        change = norms(update.weights, self.statistics, before)
        norm = math.hypot(*change)
        if not math.isfinite(norm):  # where it is, each number is
            return ScreeningResult(_not_finite(update.weights) or "changes the weights beyond all measure", UNKNOWN)
        wrong = _negative(update.weights, self.variances) or self._reported(update)
        if not wrong and norm > self.limit:
            wrong = f"changes the weights by {norm:.3g} although it is to clip to {self.limit:.3g}"
        return ScreeningResult(wrong, change)

    def _reported(self, update: Update) -> str:
        """What is wrong with the numbers that come beside the weights."""
        size = self.sizes.get(update.client)
        if size is not None and update.examples != size:
            return f"says it has {update.examples} training images, and is registered with {size}"
        if update.examples < 1:
            return f"says it has {update.examples} training images"
        wrong = [loss for loss in update.losses if not math.isfinite(loss)]
        return f"its loss is {wrong[0]}" if wrong else ""

    def _excess(self, name: str, known: Mapping[str, Norms], before: Weights) -> str:
        """Why a change is too large beside those of others; without any, beside the weights' own norms."""
        others = {other: change for other, change in known.items() if other != name}
        for what, at in (("weights", 0), ("moving statistics", 1)):
            norm = known[name][at]
            if others:
                usual = float(np.median([change[at] * self._share(name, other) for other, change in others.items()]))
                if norm > self.bound * usual and norm > NEGLIGIBLE * norms(before, self.statistics)[at]:
                    return (
                        f"changes the {what} by {norm:.3g}, the others by {usual:.3g} (median): "
                        f"more than {self.bound:g} times as much (norm-bound)"
                    )
            elif at == 0 and 0 < (own := norms(before, self.statistics)[at]) * self.bound < norm:
                return (
                    f"changes the {what} by {norm:.3g}: more than {self.bound:g} times (norm-bound) "
                    f"their own norm, {own:.3g}"
                )
        return ""

    def _share(self, name: str, other: str) -> float:
        """How many times the images of another client a client has, at least 1."""
        if name not in self.sizes or other not in self.sizes:
            return 1.0
        return max(1.0, self.sizes[name] / max(1, self.sizes[other]))
