"""Which training inputs stand for all when 8-bit ranges are chosen."""

from __future__ import annotations

import numpy as np


def balanced(labels: np.ndarray, count: int, seed: int) -> list[int]:
    """Indices of at most `count` different inputs, as equally many of each class as there are; random by `seed`.

    `labels` holds class indices; -1 (unlabelled) is never chosen.
    """
    rng = np.random.default_rng(seed)
    queues = [list(rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels[labels >= 0])]
    chosen: list[int] = []
    while any(queues) and len(chosen) < count:
        chosen += [int(queue.pop()) for queue in queues if queue]
    return chosen[:count]
