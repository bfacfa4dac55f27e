"""Multi-head self-attention on feature maps, with relative positions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class RelativeAttention(keras.layers.Layer):
    """softmax(q k' + q r') v over all places: (batch, height, width, 3 x maps) -> (batch, height, width, maps).

    The last axis is the concatenation of queries, keys and values, each of them a concatenation of
    the heads. r is one learned vector for every vertical plus one for every horizontal distance, the same in all heads,
    so that weights fit maps of one size only. Queries are divided by the square root of a head's width.

    Source: Srinivas et al. 2021 (BoTNet), Fig. 4, and the gist of the authors' code that it names.
    """

    def __init__(self, heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape):
        """Make the two tables of relative positions."""
        height, width, maps = input_shape[1:]
        each = maps // 3 // self.heads
        for name, length in (("rel_height", height), ("rel_width", width)):
            first = keras.initializers.RandomNormal(stddev=each**-0.5)
            setattr(self, name, self.add_weight(name=name, shape=(2 * length - 1, each), initializer=first))

    def call(self, inputs):
        """The attended values."""
        height, width, maps = inputs.shape[1], inputs.shape[2], inputs.shape[3] // 3
        each, places = maps // self.heads, height * width
        parts = ops.reshape(inputs, (-1, places, 3 * self.heads, each))
        query, key, value = ops.split(ops.transpose(parts, (0, 2, 1, 3)), 3, axis=1)
        query = query * each**-0.5

        rows = ops.reshape(query, (-1, height, width, each))  # batch and heads together
        along_width = _by_distance(rows, self.rel_width)
        along_height = ops.transpose(_by_distance(ops.transpose(rows, (0, 2, 1, 3)), self.rel_height), (0, 2, 1, 3))
        relative = ops.reshape(along_height, (-1, places, height, 1)) + ops.reshape(along_width, (-1, places, 1, width))

        logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.softmax(logits + ops.reshape(relative, (-1, self.heads, places, places)), axis=-1)
        return ops.reshape(ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)), (-1, height, width, maps))

    def compute_output_shape(self, input_shape):
        """A third of the maps."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "heads": self.heads}


def _by_distance(query, table):
    """q r' of places in a row: (n, rows, length, each), (2 length - 1, each) -> (n, rows, length, length).

    The table's middle row is the distance 0, later rows are places further on.
    """
    length = query.shape[2]
    products = ops.matmul(query, ops.transpose(ops.cast(table, query.dtype)))
    return ops.stack([products[:, :, i, length - 1 - i : 2 * length - 1 - i] for i in range(length)], axis=2)
