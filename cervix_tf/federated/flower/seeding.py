"""A network from a seed, in a process where Flower's threads draw random numbers, too."""

from __future__ import annotations

import random
from collections.abc import Callable

import keras


def seeded(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """The network that `build` makes after `keras.utils.set_random_seed(seed)`, each time the same.

    Keras draws the seeds of initial weights from Python's common generator. Flower's
    heartbeat draws the length of its pauses there, in a thread of its own and at any
    moment; while the network is built it gets another one.
    """
    uniform = random.uniform
    random.uniform = random.Random().uniform
    try:
        keras.utils.set_random_seed(seed)
        return build()
    finally:
        random.uniform = uniform
