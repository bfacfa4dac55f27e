"""Class weights from how often a network errs on each class."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

Phi = Literal["x", "x^3", "exp(x)", "exp(10x)", "exp(100x)"]

_STEEPNESS = {"exp(x)": 1.0, "exp(10x)": 10.0, "exp(100x)": 100.0}


def dynamic_weights(confusion: ArrayLike, phi: Phi) -> np.ndarray:
    """Weights (classes,), summing to 1, that grow with each class's error rate.

    `confusion[i][j]` counts the training samples of class i predicted as class j. The
    error rate of class i is 1 - confusion[i][i] / sum(confusion[i]); a class without
    samples counts as free of error. Without any error, all weights are equal.

    Source: Buiu et al. 2020, Eq. 5, 9 and 10; sec. 3.4.1 for the forms of phi.
    """
    if phi not in get_args(Phi):
        raise ValueError(f"phi is one of {', '.join(get_args(Phi))}; got {phi!r}")
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not (counts >= 0).all():
        raise ValueError(f"a confusion matrix is square and holds counts; got shape {counts.shape}")
    population = counts.sum(axis=1)
    errors = np.where(population > 0, 1.0 - np.diag(counts) / np.maximum(population, 1.0), 0.0)
    if phi in _STEEPNESS:  # a softmax; shifting by the largest error cancels and keeps exp from overflowing
        emphasised = np.exp(_STEEPNESS[phi] * (errors - errors.max()))
    else:
        emphasised = errors**3 if phi == "x^3" else errors
    total = emphasised.sum()
    return emphasised / total if total > 0 else np.full(len(errors), 1.0 / len(errors))
