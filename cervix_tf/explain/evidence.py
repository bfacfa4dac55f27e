"""How much of a heat map lies where the evidence is known to be."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 are just outside."""


def share_inside(heat_map: ArrayLike, box: Box, shape: tuple[int, int]) -> float:
    """The share, in [0, 1], of the heat that lies in `box` of an image of `shape` (height, width); 0 without any heat.

    The heat map (any height, any width) is enlarged to the image bilinearly, as it is shown.
    """
    height, width = shape
    heat = cv2.resize(np.asarray(heat_map, dtype=np.float64), (width, height), interpolation=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = box
    total = heat.sum()
    return float(heat[y0:y1, x0:x1].sum() / total) if total > 0 else 0.0
