"""What the tests of the federation share: a tiny network, and clients with a few random images each."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.federated.client import Client
from cervix_tf.layers import FusedBatchNormalization

SIDE, STEPS, BATCH = 6, 3, 4


@pytest.fixture(scope="session")
def network():
    """network(seed=0, dropout=0.0): a compiled convolutional classifier with batch normalization and momentum."""

    def build(seed=0, dropout=0.0):
        keras.utils.set_random_seed(seed)
        built = keras.Sequential(
            [
                keras.Input((SIDE, SIDE, 3)),
                keras.layers.Conv2D(4, 3, activation="relu"),
                FusedBatchNormalization(momentum=0.9),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dropout(dropout),
                keras.layers.Dense(2),
            ]
        )
        built.compile(
            keras.optimizers.SGD(0.05, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        return built

    return build


@pytest.fixture(scope="session")
def batches():
    """batches(seed): first epoch -> batches of that epoch and all after it, each epoch in an order of its own."""

    def of(seed, rows=STEPS * BATCH):
        rng = np.random.default_rng(seed)
        x = rng.normal(rng.uniform(-1, 1), 1, (rows, SIDE, SIDE, 3)).astype("float32")
        y = rng.integers(0, 2, rows).astype("int32")

        def epoch(number):
            order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed=tf.stack([seed, number]))
            return tf.data.Dataset.from_tensor_slices((tf.gather(x, order), tf.gather(y, order)))

        return lambda first: tf.data.Dataset.range(first, 10_000).map(
            lambda at: tf.cast(at, tf.int32)).flat_map(epoch).batch(BATCH, drop_remainder=True)  # fmt: skip

    return of


@pytest.fixture(scope="session")
def client(batches):
    """client(name, seed=0): a client with images of its own."""

    def of(name, seed=0, rows=STEPS * BATCH):
        return Client(name, batches(seed, rows), rows // BATCH, rows)

    return of


@pytest.fixture(scope="session")
def same():
    """same(weights, others): whether two lists of arrays are equal bit for bit."""

    def equal(weights, others):
        return len(weights) == len(others) and all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))

    return equal
