"""Drawn textures of six kinds: a stand-in for ImageNet where its weights cannot be had, a task to train weights on."""

from __future__ import annotations

import numpy as np

from cervix_tf.data.synthetic import drawing

KINDS = ("noise", "fractal", "discs", "strokes", "cells", "edge")


def drawn(count: int, shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (count, height, width, 3) uint8 of two random colors, and the number of each one's kind, (count,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % len(KINDS)
    pictures = np.empty((count, *shape, 3), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        mask = np.clip(_mask(rng, KINDS[label], shape), 0, 1)[..., None]
        below, above = rng.uniform(20, 235, (2, 3))
        picture[:] = np.rint(below + (above - below) * mask)
    return pictures, labels


def _mask(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    if kind == "noise":
        return 0.5 + 0.5 * drawing.noise(rng, shape, int(rng.integers(3, 8)))
    if kind == "fractal":
        return 0.5 + 0.4 * drawing.fractal(rng, shape, int(rng.integers(8, 16)))
    if kind == "discs":
        points = drawing.lattice(rng, rng.uniform(0.12, 0.25), 0.3)
        return drawing.discs(shape, points, rng.uniform(0.02, 0.06, len(points)))
    if kind == "strokes":
        starts = rng.uniform(-0.6, 0.6, (12, 1, 2))
        lines = starts + np.cumsum(rng.normal(0, 0.05, (12, 20, 2)), axis=1)
        return drawing.strokes(shape, [(line, 0.02) for line in lines])
    if kind == "cells":
        return drawing.cell_borders(shape, drawing.lattice(rng, rng.uniform(0.12, 0.25), 0.3), 0.03)
    x, y = drawing.grid(shape)
    angle, bend = rng.uniform(0, 2 * np.pi), drawing.noise(rng, shape, 4)
    field = (np.cos(angle) * x + np.sin(angle) * y + 0.1 * bend).astype(np.float32)
    return drawing.step(field, rng.uniform(-0.3, 0.3), 0.05)
