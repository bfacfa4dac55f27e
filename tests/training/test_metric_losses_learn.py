"""Each metric loss with its sampler, by what it teaches: neighbors of one class where noise hid the class before."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cervix_tf.data import samplers
from cervix_tf.data.inputs import ROW_COLUMNS, Inputs
from cervix_tf.layers import L2Embedding
from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.contrastive import Contrastive
from cervix_tf.losses.n_pair import NPair
from cervix_tf.training.global_batch import GlobalBatch

FEATURES = 24


def points(seed, count):
    """Three classes on a circle in two of the features; the others are noise of a larger spread."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    values = rng.normal(0, 4, (count, FEATURES))
    angle = labels * 2 * np.pi / 3
    values[:, :2] = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.5, (count, 2))
    return values.astype("float32"), labels.astype("int32")


def accuracy(train, train_labels, test, test_labels):
    return KNeighborsClassifier(1).fit(train, train_labels).score(test, test_labels)


@pytest.mark.parametrize(
    ("loss", "sampler"),
    [
        (BatchHard(), functools.partial(samplers.p_by_s, classes=2, images=8)),
        (Contrastive(), functools.partial(samplers.pairs, pairs=16)),
        (NPair(), functools.partial(samplers.n_pairs, classes=3, tuplets=4)),
    ],
    ids=["batch_hard", "contrastive", "n_pair"],
)
def test_nearest_neighbors_become_images_of_the_same_class(loss, sampler):
    (train, labels), (test, truth) = points(0, 300), points(1, 300)
    before = accuracy(train, labels, test, truth)
    table = pd.DataFrame([dict.fromkeys(ROW_COLUMNS, "") | {"id": str(at)} for at in range(len(train))])
    inputs = Inputs(tuple((str(at),) for at in range(len(train))), labels, table, ("a", "b", "c"))
    order = sampler(inputs, np.random.default_rng(2), batches=250)
    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(4), L2Embedding()])
    network.compile(keras.optimizers.Adam(0.01), GlobalBatch(loss), jit_compile=False)
    flat = order.ravel()
    network.fit(train[flat], labels[flat], batch_size=order.shape[1], shuffle=False, verbose=0)
    after = accuracy(network.predict(train, verbose=0), labels, network.predict(test, verbose=0), truth)
    assert before < 0.75 and after > 0.95, (before, after)
