"""Grad-CAM, Grad-CAM++ and HiResCAM: where in its feature maps a network found the evidence for a class.

All need a network in two parts: feature maps, and a `head` that turns them into
logits. `cervix_tf.explain.split` cuts a Keras model at its layers; a model that is
already in parts needs no cutting. Several sets of maps, one a trunk of an ensemble say, give several
sets of heat maps from one pass through the head.

TensorFlow is imported for its GradientTape: Keras has no gradients of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Maps = Any  # one tensor (..., height, width, channels), or a list of such
Head = Callable[[Maps], Any]  # the maps, one or a list as given -> logits (batch, classes)


def grad_cam(head: Head, feature_maps: Maps, class_index: int | ArrayLike | None = None) -> Any:
    """Heat maps (..., height, width) in [0, 1] of where a class shows; a list of them for a list of maps.

    `class_index` is one class for all, one a sample (batch,), or None for the class
    that the head finds likeliest. A heat map's largest value is 1; where nothing speaks
    for the class it is 0 throughout. With logits S and maps A:
    relu(sum_k w_k A^k), w_k = mean over positions of dS / dA^k.

    Source: Selvaraju et al. 2017, Eq. 1 and 2.
    """
    return _heat_maps(head, feature_maps, class_index, lambda maps, slopes: slopes.mean(axis=(-3, -2), keepdims=True))


def grad_cam_plus_plus(head: Head, feature_maps: Maps, class_index: int | ArrayLike | None = None) -> Any:
    """Heat maps like `grad_cam`'s that do not shrink a class's evidence for being small or in several places.

    relu(sum_k w_k A^k), w_k = sum over positions of alpha^k relu(dY / dA^k) with
    Y = exp(S) and alpha from Y's second and third derivatives.

    Source: Chattopadhay et al. 2018, sec. 3; Buiu et al. 2020, sec. 4.5 and Fig. 10.
    Like its authors, takes S to be piecewise linear in A (ReLU networks), so that Y's
    n-th derivative is exp(S) (dS / dA)^n.
    """
    return _heat_maps(head, feature_maps, class_index, _plus_plus_weights)


def hires_cam(head: Head, feature_maps: Maps, class_index: int | ArrayLike | None = None) -> Any:
    """Heat maps like `grad_cam`'s whose every position has weights of its own: relu(sum_k dS / dA^k A^k).

    Where the head is linear in its maps this is exactly what each position adds to the score.

    Source: Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks", arXiv:2011.08891.
    """
    return _heat_maps(head, feature_maps, class_index, lambda maps, slopes: slopes)


def _plus_plus_weights(maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    # alpha = g^2 / (2 g^2 + g^3 sum A) = 1 / (2 + g sum A): the powers of small g would underflow. exp(S) is
    # one factor for a whole map and cancels when that is scaled to 1. Only positions with g > 0 count; there
    # the divisor is at least 2, unless maps that are not behind a ReLU sum to something negative.
    divisor = 2.0 + slopes * maps.sum(axis=(-3, -2), keepdims=True)
    alpha = np.divide(1.0, divisor, out=np.zeros_like(divisor), where=divisor != 0)
    return (alpha * np.maximum(slopes, 0.0)).sum(axis=(-3, -2), keepdims=True)


def _heat_maps(
    head: Head,
    feature_maps: Maps,
    class_index: int | ArrayLike | None,
    weights: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Any:
    import tensorflow as tf

    several = isinstance(feature_maps, list | tuple)
    stacks = [tf.convert_to_tensor(maps) for maps in (feature_maps if several else [feature_maps])]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(stacks)
        logits = tf.convert_to_tensor(head(stacks if several else stacks[0]))
        chosen = tf.argmax(logits, axis=-1) if class_index is None else tf.convert_to_tensor(class_index)
        chosen = tf.broadcast_to(tf.cast(chosen, tf.int32), tf.shape(logits)[:1])
        # Samples do not touch each other, so the sum's gradient is each sample's own.
        score = tf.reduce_sum(tf.gather(logits, chosen, axis=-1, batch_dims=1))
    slopes = tape.gradient(score, stacks, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    heat_maps = []
    for maps, slope in zip(stacks, slopes, strict=True):
        values = np.asarray(maps, dtype=np.float64)
        importance = weights(values, np.asarray(slope, dtype=np.float64))
        heat = np.maximum((values * importance).sum(axis=-1), 0.0)
        peak = heat.max(axis=(-2, -1), keepdims=True)
        heat_maps.append(np.divide(heat, peak, out=np.zeros_like(heat), where=peak > 0).astype(np.float32))
    return heat_maps if several else heat_maps[0]
