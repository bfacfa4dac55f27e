"""Pairs of embeddings: which rows of a batch they are, and how far apart."""

from __future__ import annotations

from typing import Any

from keras import ops


def split(rows: Any) -> tuple[Any, Any]:
    """The first and the second of each pair: rows 2i and rows 2i + 1 of a batch.

    Raises `ValueError` when the batch is odd.
    """
    if rows.shape[0] is not None and rows.shape[0] % 2:
        raise ValueError(f"rows 2i and 2i + 1 are a pair, so a batch has an even number of rows; got {rows.shape[0]}")
    return rows[::2], rows[1::2]


def euclidean(a: Any, b: Any) -> Any:
    """Distances (pairs,) between the rows of two (pairs, features) tensors, with gradient 0 where rows coincide.

    From differences, so exact for near rows, where the expansion |a|² + |b|² - 2ab loses
    half of its digits. The true derivative at distance 0 does not exist (a cone's tip);
    0 is one of its subgradients.
    """
    squares = ops.sum(ops.square(a - b), axis=-1)
    apart = squares > 0
    # The inner `where` keeps the square root's infinite slope out of the gradient, where 0 times it would be NaN.
    return ops.where(apart, ops.sqrt(ops.where(apart, squares, 1)), 0)
