"""Color normalization: the mean and deviation of each image's colors become those of a reference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LEAST = 0.5
"""Deviation below which an image counts as of one color, in units of L*a*b*: about what OpenCV's conversions err by."""


@dataclass(frozen=True)
class Reference:
    """Colors to move images to, in CIE L*a*b*, (3,) each."""

    mean: Array
    deviation: Array


def colors(pixels: NDArray[Any]) -> tuple[Array, Array]:
    """Mean and standard deviation of L*, a* and b* of each image, (images, 3) each.

    `pixels`: (images, height, width, 3) RGB in [0, 255].
    """
    lab = _converted(np.asarray(pixels, np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab.mean(axis=(1, 2), dtype=np.float64), lab.std(axis=(1, 2), dtype=np.float64)


def reference(batches: Iterable[tuple[Any, Any]]) -> Reference:
    """The mean colors and mean deviation of all images of batches, (pixels, labels), in an evaluation pipeline."""
    found = [colors(np.asarray(pixels)) for pixels, _ in batches]
    mean, deviation = (np.concatenate(each).mean(axis=0) for each in zip(*found, strict=True))
    return Reference(mean, deviation)


def reinhard(pixels: NDArray[Any], to: Reference) -> NDArray[Any]:
    """The images with each one's mean and deviation of L*, a* and b* moved to the reference, of shape and type given.

    (images, height, width, 3) RGB in [0, 255]. Colors that leave sRGB are clipped; of an image of one color only the
    mean is moved.

    Source: Reinhard, Ashikhmin, Gooch, Shirley, Color transfer between images, IEEE CG&A 21(5), 2001, eq. 10 and 11.
    Departs: in CIE L*a*b* instead of their l-alpha-beta, as is usual for stained slides.
    """
    mean, deviation = (each[:, None, None] for each in colors(pixels))
    lab = _converted(np.asarray(pixels, np.float32) / 255, cv2.COLOR_RGB2LAB)
    factor = np.where(deviation < _LEAST, 1.0, to.deviation / np.maximum(deviation, _LEAST))
    moved = (lab - mean) * factor + to.mean
    rgb = 255 * np.clip(_converted(moved.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)
    return (np.rint(rgb) if np.issubdtype(pixels.dtype, np.integer) else rgb).astype(pixels.dtype)


def of_batches(batches: tf.data.Dataset, to: Reference) -> tf.data.Dataset:
    """A pipeline's batches, (pixels, labels), normalized."""

    def normalized(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        moved = tf.numpy_function(lambda each: reinhard(each, to), [pixels], pixels.dtype, stateful=False)
        return tf.ensure_shape(moved, pixels.shape), labels

    return batches.map(normalized, num_parallel_calls=2)


def _converted(images: NDArray[Any], code: int) -> NDArray[Any]:
    """Every image's colors by one of OpenCV's conversions, which take one image: here they stand below each other.

    These are within 0.2 of L*a*b* by its formula.
    """
    stacked = images.reshape(-1, images.shape[-2], 3)
    return cv2.cvtColor(stacked, code).reshape(images.shape)
