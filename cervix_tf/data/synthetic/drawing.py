"""Shapes, textures and blending that the synthetic generators draw with.

Lengths are fractions of the image's height, so that a picture looks the same at any
size. Pictures are planes, (3, height, width) float32 RGB in [0, 255]: a mask then
multiplies them without being repeated for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

Color = tuple[float, float, float]
"""RGB in [0, 255]."""
SHIFT = 4  # bits of sub-pixel position that OpenCV's drawing takes


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth random field in about [-1, 1], (height, width) float32, `cells` bumps from top to bottom."""
    grid = rng.uniform(-1.0, 1.0, (cells + 1, cells * 4 // 3 + 1)).astype(np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


def fractal(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int = 3) -> np.ndarray:
    """Sum of `octaves` noise fields, each twice as fine and half as strong as the one before."""
    total = noise(rng, shape, cells)
    for octave in range(1, octaves):
        total += noise(rng, shape, cells << octave) * np.float32(0.5**octave)
    return total


def step(field: np.ndarray, edge: float, width: float) -> np.ndarray:
    """1 where `field` is below `edge`, 0 above, with a smooth passage of `width` about it; float32."""
    t = np.clip((np.float32(edge) - field) * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x (1, width) and y (height, 1) of the pixels' centers in heights, (0, 0) in the middle of the image."""
    height, width = shape
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / height
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / height
    return x[None, :], y[:, None]


def blend(picture: np.ndarray, color: Color, alpha: np.ndarray) -> None:
    """Paint `color` over `picture` in place, covering it by `alpha`, (height, width) in [0, 1]."""
    left, top, width, height = cv2.boundingRect((alpha > 0).view(np.uint8))
    part = np.s_[top : top + height, left : left + width]  # most masks are small: the rest need not be read
    cover = alpha[part]
    for plane, over in zip(picture, color, strict=True):
        plane[part] += (np.float32(over) - plane[part]) * cover


def strokes(shape: tuple[int, int], lines: Iterable[tuple[np.ndarray, float]]) -> np.ndarray:
    """Mask in [0, 1], (height, width) float32, of lines given as ((points, 2) x, y, thickness), all in heights."""
    canvas = np.zeros(shape, np.uint8)
    for points, thickness in lines:
        width = max(1, round(thickness * shape[0]))
        cv2.polylines(canvas, [pixels(points, shape)], False, 255, width, cv2.LINE_AA, SHIFT)
    return _unit(canvas)


def discs(shape: tuple[int, int], centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Mask in [0, 1], (height, width) float32, of filled circles at (n, 2) x, y with (n,) radii, all in heights."""
    canvas = np.zeros(shape, np.uint8)
    for (x, y), radius in zip(pixels(centers, shape).tolist(), radii, strict=True):
        size = max(1 << (SHIFT - 1), round(float(radius) * shape[0] * (1 << SHIFT)))
        cv2.circle(canvas, (x, y), size, 255, -1, cv2.LINE_AA, SHIFT)
    return _unit(canvas)


def lattice(rng: np.random.Generator, spacing: float, jitter: float) -> np.ndarray:
    """(n, 2) x, y of a turned hexagonal lattice about the middle, half a height in each direction and more.

    Each point is moved by up to `jitter` spacings.
    """
    reach = int(0.7 / spacing) + 1
    column, row = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    points = np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], axis=-1).reshape(-1, 2)
    points = (points + rng.uniform(-jitter, jitter, points.shape)) * spacing
    return points @ rotation(rng.uniform(0, np.pi))


def cell_borders(shape: tuple[int, int], seeds: np.ndarray, thickness: float) -> np.ndarray:
    """Mask in [0, 1], (height, width) float32, of the lines between the cells nearest to each of `seeds` (n, 2)."""
    inside = np.full(shape, 255, np.uint8)
    at = pixels(seeds, shape) >> SHIFT
    x, y = at[:, 0], at[:, 1]
    seen = (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0])
    inside[y[seen], x[seen]] = 0
    _, labels = cv2.distanceTransformWithLabels(inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    size = max(2, round(thickness * shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    edges = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, kernel) > 0
    return cv2.GaussianBlur(edges.astype(np.float32), (3, 3), 0)


def rotation(angle: float) -> np.ndarray:
    """(2, 2) matrix that turns row vectors by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def pixels(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Heights about the middle -> pixel coordinates in fixed point with `SHIFT` bits after the point, int32."""
    height, width = shape
    scaled = np.asarray(points) * height + (width / 2 - 0.5, height / 2 - 0.5)
    return np.round(scaled * (1 << SHIFT)).astype(np.int32)


def _unit(canvas: np.ndarray) -> np.ndarray:
    return canvas.astype(np.float32) * np.float32(1 / 255)
