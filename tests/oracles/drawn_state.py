"""Weights that depend on a PyTorch name and shape alone, the same in two processes, one of which has no PyTorch."""

from __future__ import annotations

import math
import zlib

import numpy as np


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values that keep a deep network's activations in range, and differ from name to name."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        values = rng.uniform(-0.1, 0.1, shape) + (1.0 if key.endswith("weight") else 0.0)
    elif key.endswith("weight"):
        values = rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]))
    else:  # tokens, positions and random features
        values = 0.1 * rng.normal(size=shape)
    return values.astype("float32")


def pixels(height: int, width: int) -> np.ndarray:
    """Two images, (2, height, width, 3) float32 whole numbers in [0, 255]."""
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype("float32")


def chosen(features: np.ndarray, count: int = 200) -> list[float]:
    """Values at fixed places all over the features."""
    flat = features.reshape(-1)
    return [float(value) for value in flat[np.linspace(0, flat.size - 1, count).astype(int)]]
