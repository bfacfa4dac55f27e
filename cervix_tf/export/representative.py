"""Which training inputs stand for all when 8-bit ranges are chosen, and their images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cervix_tf import runs
from cervix_tf.errors import InputError
from cervix_tf.export import reading

if TYPE_CHECKING:
    from cervix_tf.contract import Contract
    from cervix_tf.data.manifest import Manifest


def balanced(labels: np.ndarray, count: int, seed: int) -> list[int]:
    """Indices of at most `count` different inputs, as equally many of each class as there are; random by `seed`.

    `labels` holds class indices; -1 (unlabeled) is never chosen.
    """
    rng = np.random.default_rng(seed)
    queues = [list(rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels[labels >= 0])]
    chosen: list[int] = []
    while any(queues) and len(chosen) < count:
        chosen += [int(queue.pop()) for queue in queues if queue]
    return chosen[:count]


def images(listed: Manifest, contract: Contract, count: int, seed: int) -> Iterator[np.ndarray]:
    """At most `count` training inputs at the contract's native size, class after class.

    Each is ([views,] native height, native width, 3) uint8. Raises `InputError` when the manifest has no training rows.
    """
    if not len(listed.part("train")):
        raise InputError("the run's manifest has no row with split 'train', so there is nothing to calibrate int8 on")
    training = runs.inputs_of(listed.part("train"), contract)
    size = (contract.native_width, contract.native_height)
    for at in balanced(training.labels, count, seed):
        pixels = reading.decoded(training.files[at], contract)
        views = [cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in pixels]
        yield np.stack(views) if contract.views else views[0]
