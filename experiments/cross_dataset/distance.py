"""How far two sets of images are apart in the eyes of a network that has seen neither."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]


def frechet(first: Array, second: Array) -> float:
    """Squared Fréchet distance of the normal distributions that have the mean and covariance of two sets of features.

    (images, features) each -> at least 0, 0 for equal sets; in the square of the features' unit. With fewer images than
    features it is too large, the more so the fewer they are: compare distances of equally many images only.

    Source: Dowson and Landau, J. Multivariate Analysis 12, 1982; of a network's features: Heusel et al., NeurIPS 2017
    (FID, there Inception-v3's).
    """
    one, two = (np.asarray(each, dtype=np.float64) for each in (first, second))
    apart = one.mean(axis=0) - two.mean(axis=0)
    one, two = (_scaled(each) for each in (one, two))
    # The trace of the root of the product of two covariances is the sum of the singular values of this matrix, which
    # has as many rows and columns as there are images, not features.
    common = scipy.linalg.svdvals(one @ two.T).sum()
    return float(max(apart @ apart + (one**2).sum() + (two**2).sum() - 2 * common, 0.0))


def _scaled(features: Array) -> Array:
    """X such that X^T X is the features' covariance."""
    return (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
