"""Class weights from how many samples each class has."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def population_weights(counts: ArrayLike) -> np.ndarray:
    """Weights (classes,), summing to 1, in inverse proportion to `counts` (classes,) of samples.

    A class without samples gets weight 0: nothing of it is ever weighted.

    Raises `ValueError` when counts are not one number per class, some are negative, or all are 0.

    Source: Buiu et al. 2020, sec. 3.4.1 and Table 8, "weights fixed to the ratio of each class".
    Departs: the paper does not say that the ratio is inverted; used directly it would favor the
        largest class, against the method's stated purpose. The sum of 1 follows its Eq. 10.
    """
    population = np.asarray(counts, dtype=np.float64)
    if population.ndim != 1 or not (population >= 0).all() or not population.any():
        raise ValueError(f"counts are one number of samples a class, not all 0; got {counts!r}")
    inverse = np.where(population > 0, 1.0 / np.maximum(population, 1.0), 0.0)
    return inverse / inverse.sum()
