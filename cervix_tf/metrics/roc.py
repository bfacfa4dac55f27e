"""What a score's ranking is worth: AUC, average precision, ROC points and thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import intervals
from cervix_tf.metrics.confusion import ratio

Array = NDArray[np.float64]
_MOST_POINTS = 400


def ranked(scores: Array, positive: NDArray[np.bool_], weights: Array) -> tuple[Array, Array]:
    """Weights of the positive and of the negative rows at each distinct score, rising, each (draws, scores).

    `scores` and `positive` are (rows,), `weights` (draws, rows).
    """
    order = np.argsort(scores, kind="stable")
    score, truth = scores[order], positive[order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    weight = weights[:, order]
    both = weight if len(starts) == len(score) else np.add.reduceat(weight, starts, axis=1)
    hits = weight * truth
    hits = hits if len(starts) == len(score) else np.add.reduceat(hits, starts, axis=1)
    return hits, both - hits


class Ranking:
    """Rows in the order of a score: sorted once, then measured in each of thousands of draws.

    Draws are whole numbers, `weights` (draws, rows): how often each row was drawn; fractions would be cut off. As
    integers they are gathered and added up in a third of the time that floats take.
    """

    def __init__(self, scores: Array, positive: NDArray[np.bool_]) -> None:
        """`scores` and `positive` are (rows,)."""
        self._positives, self._negatives = (
            rows[np.argsort(scores[rows], kind="stable")] for rows in map(np.flatnonzero, (positive, ~positive))
        )
        high, low = scores[self._positives], scores[self._negatives]
        # Of each positive: how many negatives are below it and how many not above it, and how many positives below it.
        self._below, self._not_above = np.searchsorted(low, high, "left"), np.searchsorted(low, high, "right")
        self._lower = np.searchsorted(high, high, "left")

    def auc(self, weights: Array) -> Array:
        """Area under the ROC curve, (draws,): P(positive above) + P(equal) / 2."""
        return self.areas(weights)[0]

    def areas(self, weights: Array) -> tuple[Array, Array]:
        """`auc`, and average precision: mean precision at each recalled positive, not interpolated, (draws,) each."""
        parts = [self._areas(part.astype(np.int32)) for part in intervals.parts(weights)]
        area, precision = np.concatenate(parts, axis=1)
        return area, precision

    def _areas(self, drawn: NDArray[np.int32]) -> Array:
        hits, misses = np.take(drawn, self._positives, axis=1), np.take(drawn, self._negatives, axis=1)
        of_hits, of_misses = _sums(hits), _sums(misses)
        positives, negatives = (sums[:, -1].astype(np.float64) for sums in (of_hits, of_misses))
        below = np.take(of_misses, self._below, axis=1)
        pairs = np.einsum("dr,dr->d", hits, below + np.take(of_misses, self._not_above, axis=1))
        found = positives[:, None] - np.take(of_hits, self._lower, axis=1)
        called = found + negatives[:, None] - below
        precision = np.einsum("dr,dr->d", hits, found / np.maximum(called, 1))
        return np.stack([ratio(pairs / 2, positives * negatives), ratio(precision, positives)])


def _sums(counts: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of each row of (draws, n) the sums of its first 0, 1, ... n, (draws, n + 1)."""
    sums = np.zeros((len(counts), counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums


def curve(scores: Array, positive: NDArray[np.bool_]) -> dict[str, Any] | None:
    """ROC points {"fpr": [...], "tpr": [...]}, at most 400 of them; None when a side is missing."""
    if positive.all() or not positive.any():
        return None
    hits, misses = ranked(scores, positive, np.ones((1, len(scores))))
    tpr, fpr = (np.r_[0.0, np.cumsum(side[0, ::-1]) / side.sum()] for side in (hits, misses))
    at = np.unique(np.linspace(0, len(fpr) - 1, min(len(fpr), _MOST_POINTS)).round().astype(int))
    return {"fpr": fpr[at].round(6).tolist(), "tpr": tpr[at].round(6).tolist()}


def threshold_at_specificity(scores: Array, positive: NDArray[np.bool_], specificity: float) -> float:
    """The lowest threshold at which the share of negatives with score < threshold is at least `specificity`.

    Raises `ValueError` when there is no negative row.
    """
    negatives = np.sort(scores[~positive])
    if len(negatives) == 0:
        raise ValueError("no negative row to choose a threshold on")
    below = int(np.ceil(specificity * len(negatives) - 1e-9))
    return 0.0 if below == 0 else float(np.nextafter(negatives[below - 1], np.inf))
