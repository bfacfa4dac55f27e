"""What the tests of the metric losses share: random batches of unit vectors, gradients, finite differences."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def unit():
    """unit(rng, rows, features): random float32 rows of length 1."""

    def draw(rng, rows, features):
        drawn = rng.normal(size=(rows, features))
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")

    return draw


@pytest.fixture(scope="session")
def gradient():
    """gradient(loss, labels, embeddings): value and gradient, as arrays."""
    import tensorflow as tf  # here: the process that starts the others reads this file and needs no TensorFlow

    def of(loss, labels, embeddings):
        embeddings = tf.convert_to_tensor(embeddings)
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        return value.numpy(), tf.convert_to_tensor(tape.gradient(value, embeddings)).numpy()

    return of


@pytest.fixture(scope="session")
def finite_differences():
    """finite_differences(slow, embeddings): central differences of a slow float64 function."""

    def of(slow, embeddings, step=1e-6):
        found = np.zeros(embeddings.shape)
        for index in np.ndindex(embeddings.shape):
            shift = np.zeros(embeddings.shape)
            shift[index] = step
            found[index] = (slow(embeddings + shift) - slow(embeddings - shift)) / (2 * step)
        return found

    return of
