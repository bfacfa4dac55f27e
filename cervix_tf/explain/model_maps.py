"""Heat maps of a model as users have it: uint8 images in, probabilities out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import keras
import numpy as np

from cervix_tf.data.views import kind
from cervix_tf.errors import InputError
from cervix_tf.explain.grad_cam import grad_cam_plus_plus
from cervix_tf.explain.overlay import overlay
from cervix_tf.explain.split import split

SINGLE = "features"
"""Name of the layer whose maps explain a network of single images."""
_TOGETHER = 28
"""Images that go through the network at once: most of its time for a few is that of starting operations."""


def heat_maps(
    serving: keras.Model,
    images: Sequence[np.ndarray],
    views: Sequence[str] = (),
    class_index: int | None = None,
    method: Callable[..., Any] = grad_cam_plus_plus,
) -> list[np.ndarray]:
    """Heat maps (h, w) in [0, 1] of one input's images: those of `of_inputs`."""
    return next(of_inputs(serving, [images], views, class_index, method))


def of_inputs(
    serving: keras.Model,
    inputs: Iterable[Sequence[np.ndarray]],
    views: Sequence[str] = (),
    class_index: int | None = None,
    method: Callable[..., Any] = grad_cam_plus_plus,
) -> Iterator[list[np.ndarray]]:
    """Of each input, the heat maps (h, w) in [0, 1] of its images, (height, width, 3) uint8 of any size each.

    `serving` resizes, runs a network that gives logits, and turns them into
    probabilities. The network of a model of several `views` has one trunk a kind of
    view, named after it, and calls it once for all views of that kind; a network of single images has
    a layer named `features`. `class_index` is the class to explain, None for the prediction.
    `method` is `grad_cam_plus_plus` or `grad_cam`.

    Raises `InputError` when the model has no such layers, or they give no maps, as a transformer's class token.
    """
    resize = next((layer for layer in serving.layers if type(layer).__name__ == "ResizePixels"), None)
    network = next((layer for layer in serving.layers if isinstance(layer, keras.Model)), None)
    if resize is None or network is None:
        raise InputError("this model is not laid out as resize, network, probabilities: heat maps need one that is")
    layers = list(dict.fromkeys(map(kind, views))) or [SINGLE]
    left, together = iter(inputs), max(1, _TOGETHER // max(1, len(views)))
    while some := list(itertools.islice(left, together)):
        pixels = [keras.ops.concatenate([resize(image[None]) for image in images]) for images in some]
        try:
            head, maps = split(network, layers, keras.ops.stack(pixels) if views else keras.ops.concatenate(pixels))
        except ValueError as error:
            raise InputError(f"no heat maps for this model: {error}") from None
        if any(stack.ndim < 4 for stack in (maps if isinstance(maps, list) else [maps])):
            raise InputError(f"no heat maps for this model: its layer {SINGLE!r} gives one vector per image, not maps")
        found = [np.asarray(stack) for stack in method(head, maps, class_index)]
        for at in range(len(some)):  # a stack of an input's views of one kind lies together
            yield [each for stack in found for each in stack.reshape(len(some), -1, *stack.shape[1:])[at]]


def strip(
    images: Sequence[np.ndarray], maps: Sequence[np.ndarray], titles: Sequence[str] = (), width: int = 160
) -> np.ndarray:
    """One RGB picture, uint8: a column per image, the heat map over it below it, `width` pixels each."""
    columns = []
    for at, (image, heat) in enumerate(zip(images, maps, strict=True)):
        height = round(width * image.shape[0] / image.shape[1])
        above, below = (
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            for picture in (image, overlay(image, heat))
        )
        title = np.full((16, width, 3), 255, np.uint8)
        if titles:
            cv2.putText(title, titles[at], (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(np.vstack([title, above, np.full((2, width, 3), 255, np.uint8), below]))
    tallest = max(column.shape[0] for column in columns)
    return np.hstack([np.pad(c, ((0, tallest - c.shape[0]), (0, 3), (0, 0)), constant_values=255) for c in columns])
