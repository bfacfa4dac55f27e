"""Whole kinds of views dropped at random, so that a network learns to do without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class ViewDropout(keras.layers.Layer):
    """Stacked maps of several views, in training without some kinds of view.

    (batch, height, width, maps of every view, one mask plane a view) -> the same shape. The
    planes hold 1 where a view is there and 0 where it is missing. In training each kind that
    an input has is dropped with probability `rate`: the maps and the planes of all its views
    become 0, as those of a missing view are. Where every kind would be dropped, one of those that are there stays.
    Nothing is scaled up, since a network meets missing views when it is tested too. In
    inference nothing changes.

    Args:
        rate: Probability in [0, 1) that a kind is dropped.
        kinds: Of each kind of view, in the order of the maps, how many views it has and how many maps each of
            them has.
        seed: Makes the draws repeatable.

    Raises `ValueError` for a rate outside [0, 1), or maps that `kinds` does not add up to.

    Source: ours.
    """

    def __init__(self, rate: float, kinds: Sequence[Sequence[int]], seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate is a probability in [0, 1), not {rate}")
        self.rate, self.kinds, self.seed = rate, [tuple(kind) for kind in kinds], seed
        self.generator = keras.random.SeedGenerator(seed)
        views = [count for count, _ in self.kinds]
        self._ends = np.cumsum(views).tolist()
        maps = [count * each for count, each in self.kinds]
        self._kind_of = np.concatenate([np.repeat(range(len(views)), counts) for counts in (maps, views)])

    def build(self, input_shape):
        """Check that there are as many maps and planes as `kinds` says."""
        if input_shape[-1] != len(self._kind_of):
            raise ValueError(f"{self.kinds} have {len(self._kind_of)} maps and planes, not {input_shape[-1]}")
        super().build(input_shape)

    def call(self, inputs, training=None):
        """The maps and planes that are left."""
        if not training or not self.rate:
            return inputs
        planes = inputs[:, 0, 0, -self._ends[-1] :]
        starts = [0, *self._ends[:-1]]
        there = ops.stack(
            [ops.max(planes[:, start:end], axis=1) for start, end in zip(starts, self._ends, strict=True)], axis=1
        )
        drawn = keras.random.uniform(ops.shape(there), seed=self.generator, dtype="float32")
        drawn = ops.where(there > 0, drawn, -1.0)
        kept = ops.logical_or(drawn >= self.rate, drawn >= ops.max(drawn, axis=1, keepdims=True))
        kept = ops.take(ops.cast(kept, inputs.dtype), self._kind_of, axis=1)
        return inputs * kept[:, None, None, :]

    def compute_output_shape(self, input_shape):
        """The input shape."""
        return input_shape

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "rate": self.rate, "kinds": self.kinds, "seed": self.seed}
