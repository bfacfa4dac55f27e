"""Heat maps laid over the images they explain."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike


def told(shape: Sequence[int]) -> str:
    """What a heat map of this shape, (rows, columns), shows, in words for a caption."""
    return f"what the network reacted to, {shape[0] * shape[1]} cells per image; not an outline"


def overlay(image: ArrayLike, heat_map: ArrayLike, strength: float = 0.45) -> np.ndarray:
    """An RGB picture (height, width, 3), uint8, of the image tinted from blue (0) over green to red (1).

    `image` (height, width, 3) holds RGB values 0 to 255; `heat_map` (any height, any
    width) holds values in [0, 1] and is enlarged bilinearly. `strength` is the share of color.

    Raises `ValueError` for an image of another shape.
    """
    pixels = np.clip(np.asarray(image, dtype=np.float32), 0, 255)
    if pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"an image is (height, width, 3), not {pixels.shape}")
    height, width = pixels.shape[:2]
    heat = cv2.resize(np.asarray(heat_map, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]  # OpenCV gives BGR
    return np.rint((1 - strength) * pixels + strength * colors).astype(np.uint8)
