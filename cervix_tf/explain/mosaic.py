"""Many small pictures as one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from cervix_tf.explain.overlay import overlay

_GAP = 4  # pixels between tiles
_LINE = 18  # pixels of a title's line


def case_mosaic(
    cases: Sequence[tuple[Sequence[ArrayLike], Sequence[ArrayLike]]],
    titles: Sequence[str] | None = None,
    tile: tuple[int, int] = (112, 149),
) -> np.ndarray:
    """One RGB picture, uint8, with a column a case: each view beside its heat map, view under view.

    A case is its images (height, width, 3; 0 to 255) and their heat maps in [0, 1], in
    the same order. `titles` stand above the columns; `tile` is a picture's height and width in pixels.

    Source: Buiu et al. 2020, Fig. 10 (four cases of seven views).
    """
    columns = []
    for images, heat_maps in cases:
        rows = [
            np.hstack([_fitted(image, tile), _gap(tile[0]), _fitted(overlay(image, heat), tile)])
            for image, heat in zip(images, heat_maps, strict=True)
        ]
        columns.append(_stacked(rows))
    if titles is not None:
        columns = [_titled(column, title) for column, title in zip(columns, titles, strict=True)]
    height = max(column.shape[0] for column in columns)
    columns = [np.pad(c, ((0, height - c.shape[0]), (0, 0), (0, 0)), constant_values=255) for c in columns]
    spaced = [part for column in columns for part in (column, _gap(height, 3 * _GAP))]
    return np.hstack(spaced[:-1])


def _fitted(image: ArrayLike, tile: tuple[int, int]) -> np.ndarray:
    pixels = np.clip(np.rint(np.asarray(image, dtype=np.float32)), 0, 255).astype(np.uint8)
    return cv2.resize(pixels, (tile[1], tile[0]), interpolation=cv2.INTER_AREA)


def _gap(height: int, width: int = _GAP) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    padded = [np.pad(row, ((0, _GAP), (0, 0), (0, 0)), constant_values=255) for row in rows]
    return np.vstack(padded)[:-_GAP]


def _titled(column: np.ndarray, title: str) -> np.ndarray:
    line = np.full((_LINE, column.shape[1], 3), 255, np.uint8)
    cv2.putText(line, title, (0, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([line, column])
