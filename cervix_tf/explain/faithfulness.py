"""Whether a heat map shows what the network uses: deletion and insertion, likeness of maps, and shuffled weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cervix_tf.explain.occlusion import Predict

if TYPE_CHECKING:
    import keras

STEPS = 20
_BLUR = 0.05  # standard deviation of what insertion begins with, in heights of the image


def deletion(predict: Predict, image: np.ndarray, heat_map: ArrayLike, class_index: int, steps: int = STEPS) -> float:
    """Mean probability of the class while the image is painted over in its mean color, warmest pixels first.

    `image` is (height, width, 3), the heat map (rows, columns) of any size. Low is good: what the map calls important
    is what the network needs. It is the area under the curve from 0 to all pixels, in `steps` equal steps.

    Source: Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018.
    """
    mean = np.broadcast_to(image.mean(axis=(0, 1)).astype(image.dtype), image.shape)
    return _area(predict, image, mean, heat_map, class_index, steps)


def insertion(predict: Predict, image: np.ndarray, heat_map: ArrayLike, class_index: int, steps: int = STEPS) -> float:
    """Mean probability of the class while a blurred copy of the image gets its pixels back, warmest first.

    High is good. Arguments and source: `deletion`.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), _BLUR * image.shape[0])
    return _area(predict, blurred, image, heat_map, class_index, steps)


def _area(
    predict: Predict, begin: np.ndarray, end: np.ndarray, heat_map: ArrayLike, class_index: int, steps: int
) -> float:
    """Area under the class's probability while pixels go from `begin` to `end`, warmest first."""
    size = begin.shape[1::-1]
    heat = cv2.resize(np.asarray(heat_map, np.float64), size, interpolation=cv2.INTER_LINEAR)
    place = np.empty(heat.size, int)
    place[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size)
    place = place.reshape(heat.shape)
    between = [np.where((place < at * heat.size / steps)[..., None], end, begin) for at in range(steps + 1)]
    scores = np.asarray(predict(np.stack(between)), np.float64)[:, class_index]
    return float(np.trapezoid(scores, dx=1 / steps))


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's correlation of two heat maps of the same shape, in [-1, 1]; 0 where one is the same throughout.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, sec. 3.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.asarray(each, np.float64)) for each in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0].ravel(), ranks[1].ravel())[0, 1])


@contextlib.contextmanager
def shuffled_weights(network: keras.Model, seed: int) -> Iterator[None]:
    """Within the block, the values of each weight of the network stand at random places in it.

    A heat map that looks the same with a network that knows nothing explains the image's edges, not the network.

    Source: Adebayo et al. 2018, the model parameter randomization test, all layers at once.
    """
    kept = network.get_weights()
    rng = np.random.default_rng(seed)
    network.set_weights([rng.permutation(each.ravel()).reshape(each.shape) for each in kept])
    try:
        yield
    finally:
        network.set_weights(kept)


def agreement(maps: list[NDArray[np.float32]]) -> float:
    """Mean rank correlation over all pairs of heat maps: of one image by networks that differ in their seed."""
    pairs = [rank_correlation(one, other) for at, one in enumerate(maps) for other in maps[:at]]
    return float(np.mean(pairs))
