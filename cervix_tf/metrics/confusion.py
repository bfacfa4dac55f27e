"""Metrics that the confusion matrix holds, for one matrix or for thousands of resamples at once.

Every function takes counts of shape (..., classes, classes), rows = truth, columns =
decision, and gives (...) or (..., classes). An undefined ratio is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def counts(labels: NDArray[np.int64], decisions: NDArray[np.int64], classes: int, weights: Array) -> Array:
    """Confusion matrices, (draws, classes, classes), of rows weighted by `weights`, (draws, rows)."""
    cell = labels * classes + decisions
    drawn = np.array([np.bincount(cell, row, classes**2) for row in weights], dtype=np.float64)
    return drawn.reshape(-1, classes, classes)


def ratio(numerator: Array, denominator: Array) -> Array:
    """`numerator / denominator`, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def accuracy(matrix: Array) -> Array:
    """Share of rows decided rightly, (...)."""
    return ratio(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def sensitivity(matrix: Array) -> Array:
    """Share of each class's rows that are found (true positive rate, recall), (..., classes)."""
    return ratio(_hits(matrix), matrix.sum(-1))


def specificity(matrix: Array) -> Array:
    """Share of the other classes' rows that are not called this class, (..., classes)."""
    others = matrix.sum((-2, -1))[..., None] - matrix.sum(-1)
    return ratio(others - (matrix.sum(-2) - _hits(matrix)), others)


def precision(matrix: Array) -> Array:
    """Share of the rows called this class that are of it, (..., classes)."""
    return ratio(_hits(matrix), matrix.sum(-2))


def f1(matrix: Array) -> Array:
    """Harmonic mean of precision and sensitivity, (..., classes); NaN if neither there nor called."""
    return ratio(2 * _hits(matrix), matrix.sum(-1) + matrix.sum(-2))


def balanced_accuracy(matrix: Array) -> Array:
    """Mean sensitivity of the classes that occur, (...)."""
    rates, there = sensitivity(matrix), matrix.sum(-1) > 0
    return ratio(np.where(there, rates, 0.0).sum(-1), there.sum(-1).astype(np.float64))


def harmonic_mean_tpr(matrix: Array) -> Array:
    """Harmonic mean of the classes' sensitivities, (...): 0 if any is 0, NaN if a class does not occur.

    Source: Buiu et al. 2020, sec. 4.4.
    """
    rates = sensitivity(matrix)
    some = (rates > 0).all(-1)
    inverse = (1 / np.where(rates > 0, rates, 1.0)).sum(-1)
    return np.where(np.isnan(rates).any(-1), np.nan, np.where(some, rates.shape[-1] / inverse, 0.0))


def lost(matrix: Array, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a resample, (draws, classes, classes), has no row of a class that is among `labels`, (draws,).

    A mean over classes, or kappa, would then be of other classes, which says nothing about the model.
    """
    return (matrix.sum(-1)[:, np.unique(labels)] == 0).any(1)


def macro(rates: Array) -> Array:
    """Mean over the classes, (...); an undefined rate counts as 0."""
    return np.nan_to_num(rates, nan=0.0).mean(-1)


def weighted(rates: Array, matrix: Array) -> Array:
    """Mean over the classes weighted by their rows, (...); an undefined rate counts as 0."""
    support = matrix.sum(-1)
    return ratio((np.nan_to_num(rates, nan=0.0) * support).sum(-1), support.sum(-1))


def kappa(matrix: Array, quadratic: bool = False) -> Array:
    """Agreement beyond chance, (...): 1 perfect, 0 chance; NaN if both sides know one class only.

    With `quadratic` a disagreement counts by the squared distance of the classes in their order.

    Source: Cohen 1960; weights: Cohen 1968.
    """
    order = np.arange(matrix.shape[-1])
    apart = (order[:, None] - order) ** 2.0
    cost = apart if quadratic else (apart > 0).astype(np.float64)
    expected = matrix.sum(-1)[..., :, None] * matrix.sum(-2)[..., None, :]
    return 1 - ratio((cost * matrix).sum((-2, -1)) * matrix.sum((-2, -1)), (cost * expected).sum((-2, -1)))


def merged(matrix: Array, positive: list[int]) -> Array:
    """The 2 x 2 matrices, (..., 2, 2), of "one of the `positive` classes": index 1 is positive."""
    into = np.zeros((matrix.shape[-1], 2))
    into[:, 0] = 1
    into[positive] = (0, 1)
    return into.T @ matrix @ into


def _hits(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
