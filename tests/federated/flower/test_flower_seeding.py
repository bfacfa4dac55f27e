"""Initial weights in a process where Flower's threads draw random numbers."""

import random

import numpy as np
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

import flwr.supercore.heartbeat
import keras

from cervix_tf.federated.flower.seeding import seeded


def test_initial_weights_are_those_of_the_seed_whatever_flowers_heartbeat_draws_meanwhile(same):
    assert flwr.supercore.heartbeat.random is random, "it draws from Python's common generator"
    beats = []

    def build():
        first = keras.layers.Dense(3)
        if beats:
            flwr.supercore.heartbeat.random.uniform(0.7, 0.9)
        built = keras.Sequential([keras.Input((2,)), first, keras.layers.Dense(3)])
        return built

    quiet = seeded(5, build).get_weights()
    beats.append(1)
    assert same(seeded(5, build).get_weights(), quiet)
    keras.utils.set_random_seed(5)
    assert not same(build().get_weights(), quiet), "so it would be without"
    random.seed(3)
    expected = random.uniform(0, 1)
    random.seed(3)
    assert np.isclose(random.uniform(0, 1), expected), "afterwards everything is as it was"
