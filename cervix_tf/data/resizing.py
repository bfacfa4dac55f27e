"""Images at a network's size, as `layers.ResizePixels` makes them inside exported graphs, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


def resized(pixels: np.ndarray, height: int, width: int, supersampling: int = 1) -> np.ndarray:
    """(any height, any width, 3) uint8 -> (height, width, 3) float32, not rounded.

    Bilinear with half-pixel centers to `supersampling` times the size, then averaged: see
    `layers.ResizePixels`.
    """
    size = (supersampling * width, supersampling * height)
    return averaged(cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), supersampling)


def averaged(pixels: np.ndarray, supersampling: int) -> np.ndarray:
    """The means of square blocks of pixels, `supersampling` a side, in the type of the pixels."""
    if supersampling == 1:
        return pixels
    size = (pixels.shape[1] // supersampling, pixels.shape[0] // supersampling)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # by a whole factor: the block's mean
