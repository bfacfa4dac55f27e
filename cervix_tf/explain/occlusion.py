"""Occlusion: how much less likely a class becomes when a part of the image is covered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[np.ndarray], np.ndarray]
"""Images (batch, height, width, 3) of the type given -> scores (batch, classes)."""


def occlusion(
    predict: Predict, image: np.ndarray, class_index: int, cells: tuple[int, int], *, batch: int = 32
) -> NDArray[np.float32]:
    """A heat map (rows, columns) in [0, 1]: what covering each of `cells` parts of the image takes from the class.

    `image` is (height, width, 3). Each part is painted in the image's mean color, one at a time. Parts without which
    the class becomes likelier count 0; the largest value is 1, unless no part matters.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, sec. 4.2, without
        overlap.
    """
    edges = [
        np.linspace(0, side, count + 1).round().astype(int) for side, count in zip(image.shape, cells, strict=False)
    ]
    mean = image.mean(axis=(0, 1)).astype(image.dtype)

    def covered(place: tuple[int, ...]) -> np.ndarray:
        part = tuple(slice(edge[at], edge[at + 1]) for edge, at in zip(edges, place, strict=True))
        painted = image.copy()
        painted[part] = mean
        return painted

    places = list(np.ndindex(*cells))
    scores = [
        np.asarray(predict(np.stack([covered(place) for place in places[at : at + batch]])))[:, class_index]
        for at in range(0, len(places), batch)
    ]
    whole = float(np.asarray(predict(image[None]))[0, class_index])
    lost = np.maximum(whole - np.concatenate(scores).reshape(cells), 0.0)
    peak = lost.max()
    return (lost / peak if peak > 0 else lost).astype(np.float32)
