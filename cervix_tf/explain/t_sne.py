"""Embeddings in the plane or in space: images that the network finds alike lie together."""

from __future__ import annotations

import numpy as np

from cervix_tf import progress, tuning
from cervix_tf.errors import InputError

_EQUAL = 1e-15  # differences whose squares float32 cannot hold well


def t_sne(embeddings: np.ndarray, seed: int, perplexity: float = 30.0, dimensions: int = 2) -> np.ndarray:
    """Points (images, dimensions) float32 whose neighbors are those of the embeddings, (images, features).

    Distances between far points and the scale of the axes mean nothing. `perplexity`, about
    the number of neighbors that count, is lowered where there are too few images for it.
    Embeddings that are all equal have no neighbors: all their points are the origin.

    Source: Pal et al. 2021, sec. IV-D1 and Fig. 4; Liu et al. 2022, sec. 5.1 and Fig. 12 (in space);
        van der Maaten and Hinton, JMLR 9, 2008.

    Raises `ValueError` for less than three embeddings, `InputError` for some that are not finite.
    """
    from sklearn.manifold import TSNE

    values = np.asarray(embeddings, np.float32)
    if len(values) < 3:
        raise ValueError(f"{len(values)} embeddings have no neighbors to keep; give at least 3")
    broken = int((~np.isfinite(values)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"{broken} of {len(values)} embeddings hold NaN or infinite values: the network's training diverged; "
            "train it again with a lower learning rate"
        )
    if np.ptp(values, axis=0).max() < _EQUAL:  # scikit-learn would start from NaN, and end the process
        return np.zeros((len(values), dimensions), np.float32)
    start = "pca" if values.shape[1] >= dimensions else "random"
    drawn = TSNE(dimensions, perplexity=min(perplexity, (len(values) - 1) / 3), init=start, random_state=seed)
    with progress.stage(f"t-SNE of {len(values)} embeddings"), tuning.one_thread():
        return drawn.fit_transform(values)
