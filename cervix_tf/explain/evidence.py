"""How well a heat map points to where the evidence is known to be."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 are just outside."""


def share_inside(heat_map: ArrayLike, region: Box | NDArray[np.bool_], shape: tuple[int, int]) -> float:
    """The share, in [0, 1], of the heat that lies in `region` of an image of `shape` (height, width); 0 without heat.

    The region is a box, or a mask (height, width). The heat map (any height, any width) is enlarged to the image
    bilinearly, as it is shown.
    """
    heat = _enlarged(heat_map, shape)
    total = heat.sum()
    return float(heat[_mask(region, shape)].sum() / total) if total > 0 else 0.0


def points_inside(heat_map: ArrayLike, region: Box | NDArray[np.bool_], shape: tuple[int, int]) -> bool:
    """Whether the warmest point lies in `region`; the arguments are `share_inside`'s. False without heat.

    Source: the pointing game of Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018, here
        without a margin of pixels around the region.
    """
    heat = _enlarged(heat_map, shape)
    return bool(_mask(region, shape)[np.unravel_index(heat.argmax(), shape)]) if heat.max() > 0 else False


def _enlarged(heat_map: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    return cv2.resize(np.asarray(heat_map, dtype=np.float64), shape[::-1], interpolation=cv2.INTER_LINEAR)


def _mask(region: Box | NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(region, np.ndarray):
        return region
    x0, y0, x1, y1 = region
    found = np.zeros(shape, bool)
    found[y0:y1, x0:x1] = True
    return found
