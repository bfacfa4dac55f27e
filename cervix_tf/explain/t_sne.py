"""Embeddings in the plane or in space: images that the network finds alike lie together."""

from __future__ import annotations

import numpy as np


def t_sne(embeddings: np.ndarray, seed: int, perplexity: float = 30.0, dimensions: int = 2) -> np.ndarray:
    """Points (images, dimensions) float32 whose neighbours are those of the embeddings, (images, features).

    Distances between far points and the scale of the axes mean nothing. `perplexity`, about
    the number of neighbours that count, is lowered where there are too few images for it.

    Source: Pal et al. 2021, sec. IV-D1 and Fig. 4; Liu et al. 2022, sec. 5.1 and Fig. 12 (in space);
        van der Maaten and Hinton, JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE

    if len(embeddings) < 3:
        raise ValueError(f"{len(embeddings)} embeddings have no neighbours to keep; give at least 3")
    drawn = TSNE(dimensions, perplexity=min(perplexity, (len(embeddings) - 1) / 3), init="pca", random_state=seed)
    return drawn.fit_transform(np.asarray(embeddings, np.float32))
