"""What a score's ranking is worth: AUC, average precision, ROC points and thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def auc(hits: Array, misses: Array) -> Array:
    """Area under the ROC curve of what `ranked` gives, (draws,): P(positive above) + P(equal) / 2."""
    below = np.cumsum(misses, axis=1) - misses / 2
    return ratio((hits * below).sum(1), hits.sum(1) * misses.sum(1))


def average_precision(hits: Array, misses: Array) -> Array:
    """Mean precision at each recalled positive of what `ranked` gives, (draws,), without interpolation."""
    found = np.cumsum(hits[:, ::-1], axis=1)
    called = found + np.cumsum(misses[:, ::-1], axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return ratio((hits[:, ::-1] * precision).sum(1), hits.sum(1))


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
