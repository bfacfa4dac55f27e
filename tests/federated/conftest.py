"""What the tests of the federation share: a tiny network, and clients with a few random images each."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.federated import simulation
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.policy import Policy
from cervix_tf.layers import FusedBatchNormalization
from cervix_tf.run_dir import RunDir

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


@pytest.fixture
def federate(network, tmp_path):
    """federate(clients, name, policy fields ...): the common weights after three rounds in the folder `name`."""
    shared = network(dropout=0.2)
    first = shared.get_weights()

    def run(clients, name="run", topology="server", held_out=None, patience=0, **policy):
        trainer = Trainer(shared, Policy(**{"rounds": 3, **policy}), seed=0)
        out = RunDir(tmp_path / name)
        return simulation.run(
            [trainer], clients, first, out, topology=topology, held_out=held_out, patience=patience
        )  # fmt: skip

    run.network, run.first, run.root = shared, first, tmp_path
    return run


class Failing:
    """A client's batches that fail in one round: by an error, by NaN, or by taking long."""

    def __init__(self, batches, how, round):
        self.batches, self.how, self.round = batches, how, round

    def __call__(self, first):
        if first != self.round:
            return self.batches(first)
        if self.how == "dies":
            raise OSError("disk gone")
        if self.how == "is late":
            time.sleep(6.5)
            return self.batches(first)
        return self.batches(first).map(lambda x, y: (x * float("nan"), y))


@pytest.fixture(scope="session")
def failing():
    """failing(batches, how, round): a client's batches that fail in one round."""
    return Failing
