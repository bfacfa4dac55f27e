"""Images at a network's size, as `layers.ResizePixels` makes them inside exported graphs, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


def resized(pixels: np.ndarray, height: int, width: int, samples: int = 1) -> np.ndarray:
    """(any height, any width, 3) uint8 -> (height, width, 3) float32, not rounded.

    Bilinear with half-pixel centers at `samples` times the size, then the mean of each
    `samples` by `samples`: see `layers.ResizePixels`.
    """
    size = (samples * width, samples * height)
    return averaged(cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), samples)


def averaged(pixels: np.ndarray, samples: int) -> np.ndarray:
    """The mean of each `samples` by `samples` pixels, in the type of the pixels."""
    if samples == 1:
        return pixels
    size = (pixels.shape[1] // samples, pixels.shape[0] // samples)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # of whole pixels: their mean
