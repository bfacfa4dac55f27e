"""Class weights from how often a network errs on each class."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from cervix_tf.config import Phi

_STEEPNESS = {"exp(x)": 1.0, "exp(10x)": 10.0, "exp(100x)": 100.0}


def dynamic_weights(true_positive_rates: ArrayLike, phi: Phi) -> np.ndarray:
    """Weights (classes,), summing to 1, that grow with each class's error rate.

    `true_positive_rates` (classes,) are the shares of each class's samples that are
    recognized, in [0, 1]; the error rate is the rest. NaN, a class without samples,
    counts as free of error. Without any error, all weights are equal.

    Raises `ValueError` for another phi, or rates that are not one number in [0, 1] per class.

    Source: Buiu et al. 2020, Eq. 9 and 10; sec. 3.4.1 for the forms of phi.
    """
    if phi not in get_args(Phi):
        raise ValueError(f"phi is one of {', '.join(get_args(Phi))}; got {phi!r}")
    rates = np.nan_to_num(np.asarray(true_positive_rates, dtype=np.float64), nan=1.0)
    if rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"true positive rates are one number in [0, 1] a class; got {true_positive_rates!r}")
    errors = 1.0 - rates
    if phi in _STEEPNESS:  # a softmax; shifting by the largest error cancels and keeps exp from overflowing
        emphasised = np.exp(_STEEPNESS[phi] * (errors - errors.max()))
    else:
        emphasised = errors**3 if phi == "x^3" else errors
    total = emphasised.sum()
    return emphasised / total if total > 0 else np.full(len(errors), 1.0 / len(errors))
