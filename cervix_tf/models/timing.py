"""How long a network takes for one input."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from cervix_tf import tuning


class Milliseconds(NamedTuple):
    """Time of one forward pass: the median and, around it, the middle 90 % of the repeats."""

    median: float
    low: float
    high: float


def milliseconds(network: keras.Model, repeats: int = 50) -> Milliseconds:
    """Median, 5th and 95th percentile of the forward pass of one input, in milliseconds.

    The network runs as a TensorFlow graph in inference mode on random pixels, batch 1, from
    the input in memory to the output in memory; on another Keras backend by its
    `predict_on_batch`. Tracing and the first three runs, in which memory is allocated, are not counted.

    Raises `ValueError` for fewer than one repeat.

    Source: Buiu et al. 2020, Table 7.
    Departs: the paper averages over its test set; a mean moves with every pause of the machine.
    """
    if repeats < 1:
        raise ValueError(f"repeats is at least 1, not {repeats}")
    (entry,) = network.inputs
    pixels = np.random.default_rng(0).integers(0, 256, (1, *entry.shape[1:])).astype(entry.dtype)
    run = _graph(network) if keras.backend.backend() == "tensorflow" else network.predict_on_batch
    taken = []
    with tuning.single_input():
        for _ in range(3):
            run(pixels)
        for _ in range(repeats):
            start = time.perf_counter()
            run(pixels)
            taken.append(1000 * (time.perf_counter() - start))
    low, median, high = np.percentile(taken, [5, 50, 95])
    return Milliseconds(float(median), float(low), float(high))


def _graph(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a graph of its own: `predict` would add the time of its data pipeline and callbacks."""
    import tensorflow as tf

    run = tf.function(lambda images: network(images, training=False))
    return lambda images: run(tf.constant(images)).numpy()  # waits for the result, on a GPU too
