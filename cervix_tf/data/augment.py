"""Random changes of an image: all geometry as one affine resampling, tones as one table, colors as one matrix."""

from __future__ import annotations

import cv2
import numpy as np

from cervix_tf.config import Augmentation
from cervix_tf.data.resizing import averaged

_QUARTERS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # cosine and sine of 0, 90, 180, 270 degrees
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def augmented(
    image: np.ndarray,
    rng: np.random.Generator,
    augmentation: Augmentation,
    target: tuple[int, int],
    supersampling: int = 1,
) -> np.ndarray:
    """`image` (height, width, 3) uint8, changed at random, at `target` = (height, width).

    `supersampling` as in evaluation (see `data.resizing`).
    """
    finer = (supersampling * target[0], supersampling * target[1])
    matrix = affine(rng, augmentation, image.shape[:2], finer)
    enlarged = finer[0] > image.shape[0] or finer[1] > image.shape[1]
    if enlarged or supersampling > 1:  # the outermost samples may lie beyond the last pixel's center
        image = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        matrix[:, 2] += 1
    changed = averaged(warp(image, matrix, finer, augmentation.mirror_outside), supersampling)
    curve = tones(rng, augmentation)
    return colored(changed if curve is None else cv2.LUT(changed, curve), rng, augmentation)


def affine(
    rng: np.random.Generator,
    augmentation: Augmentation,
    source: tuple[int, int],
    target: tuple[int, int],
) -> np.ndarray:
    """A random map from target to source pixel coordinates, (2, 3) float64.

    `source` and `target` are (height, width) in pixels. Without augmentation the map is
    a plain resize with half-pixel centers: the one that evaluation uses. Rotation, shear
    and scale turn about the image's center, in a frame where source pixels are square,
    then the whole frame is resized to the target, and moved.

    Eight numbers are drawn whatever the settings, so that changing one setting leaves the
    draws of the others as they were.
    """
    draws = rng.uniform(size=8)
    angle, shear = (np.deg2rad(_between(draw, span)) for draw, span in
                    ((draws[0], augmentation.rotation), (draws[1], augmentation.shear)))  # fmt: skip
    scale = _between(draws[2], augmentation.scale)
    flip_x = -1.0 if draws[3] < augmentation.horizontal_flip else 1.0
    flip_y = -1.0 if draws[4] < augmentation.vertical_flip else 1.0

    (source_height, source_width), (target_height, target_width) = source, target
    # Target pixel -> source frame centered on (0, 0).
    resize = np.diag([source_width / target_width, source_height / target_height])
    cos, sin = np.cos(angle), np.sin(angle)
    # y points down, so this turns the picture counter-clockwise when read as target -> source.
    rotate = np.array([[cos, -sin], [sin, cos]])
    linear = rotate @ np.array([[1.0, np.tan(shear)], [0.0, 1.0]]) @ np.diag([flip_x, flip_y]) @ resize / scale
    if augmentation.quarter_turns:  # of the target stretched to a square, so that its frame is filled
        cos, sin = _QUARTERS[int(4 * draws[7])]
        across = target_width / target_height
        linear = linear @ np.array([[cos, -sin * across], [sin / across, cos]])
    source_center = np.array([(source_width - 1) / 2, (source_height - 1) / 2])
    moved = np.array([_between(draw, augmentation.shift) for draw in draws[5:7]]) * (target_width, target_height)
    target_center = np.array([(target_width - 1) / 2, (target_height - 1) / 2]) + moved
    return np.column_stack([linear, source_center - linear @ target_center])


def tones(rng: np.random.Generator, augmentation: Augmentation) -> np.ndarray | None:
    """A random tone curve, what each of the 256 pixel values becomes, (256,) uint8; None where none was asked for."""
    draws = rng.uniform(size=2)
    if augmentation.gamma == augmentation.brightness == (1.0, 1.0):
        return None
    gamma = np.exp(_between(draws[0], (np.log(augmentation.gamma[0]), np.log(augmentation.gamma[1]))))
    values = np.linspace(0, 1, 256) ** gamma * _between(draws[1], augmentation.brightness)
    return np.rint(255 * np.minimum(values, 1)).astype(np.uint8)


def colored(image: np.ndarray, rng: np.random.Generator, augmentation: Augmentation) -> np.ndarray:
    """`image` (height, width, 3) uint8 RGB with another contrast and saturation, clipped to [0, 255].

    Contrast keeps the mean gray of the image, saturation the gray of every pixel.
    """
    draws = rng.uniform(size=2)
    if augmentation.contrast == augmentation.saturation == (1.0, 1.0):
        return image
    contrast, saturation = _between(draws[0], augmentation.contrast), _between(draws[1], augmentation.saturation)
    gray = float(image.mean(axis=(0, 1)) @ _LUMA)
    colors = contrast * (saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1)))
    return cv2.transform(image, np.column_stack([colors, np.full(3, (1 - contrast) * gray)]))


def warp(image: np.ndarray, matrix: np.ndarray, target: tuple[int, int], mirror: bool = False) -> np.ndarray:
    """`image` (height, width, 3) uint8 read through `matrix` at `target` = (height, width).

    Outside it is black, or its mirror image. `matrix` maps target to source pixels, as `affine` gives it.
    Bilinear, through OpenCV's fixed-point uint8 path: twice as fast here as
    TensorFlow's projective transform and as any float path, and equal to it within
    one gray level, far below what the augmentation itself changes.
    """
    height, width = target
    return cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )


def _between(draw: float, span: tuple[float, float]) -> float:
    return span[0] + (span[1] - span[0]) * draw
