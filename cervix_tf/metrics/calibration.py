"""Whether probabilities mean what they say: Brier score, log loss, calibration error, reliability bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import intervals

Array = NDArray[np.float64]
BINS = 15


def brier(probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """Each row's squared distance to the truth, (rows,): in [0, 2], halved to [0, 1] for two classes.

    Source: Brier 1950; halved for two classes as scikit-learn does.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities - truth) ** 2).sum(1) / (2 if probabilities.shape[1] == 2 else 1)


def log_loss(probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """Each row's -log(probability of its true class), (rows,), in nats; below 2.2e-16 counts as that."""
    true = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(true, np.finfo(np.float64).eps, 1.0))


def bin_of(confidence: Array, bins: int = BINS) -> NDArray[np.int64]:
    """Index of the bin (k / bins, (k + 1) / bins] of each probability; 0 falls into the first."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)


def expected_calibration_error(
    confidence: Array, correct: NDArray[np.bool_], weights: Array, bins: int = BINS
) -> Array:
    """Mean distance of confidence and accuracy over the bins, weighted by their rows, (draws,).

    `confidence`, `correct`: (rows,); `weights`: (draws, rows).

    Source: Guo et al. 2017, eq. 3, with 15 bins of equal width.
    """
    member = np.zeros((len(confidence), bins))
    member[np.arange(len(confidence)), bin_of(confidence, bins)] = correct - confidence
    return np.abs(weights @ member).sum(1) / weights.sum(1)


def reliability(confidence: Array, correct: NDArray[np.bool_], bins: int = BINS) -> list[dict[str, Any]]:
    """One entry a bin that holds rows: low, high, n, mean confidence, accuracy and its Wilson interval."""
    member = bin_of(confidence, bins)
    entries = []
    for at in np.unique(member):
        inside = member == at
        share = intervals.wilson(int(correct[inside].sum()), int(inside.sum()))
        entries.append(
            {
                "low": round(at / bins, 6),
                "high": round((at + 1) / bins, 6),
                "n": share.n,
                "confidence": float(confidence[inside].mean()),
                "accuracy": share.value,
                "accuracy_low": share.low,
                "accuracy_high": share.high,
            }
        )
    return entries
