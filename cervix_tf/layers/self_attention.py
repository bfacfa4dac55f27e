"""Multi-head self-attention on queries, keys and values that a dense layer gave."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class SelfAttention(keras.layers.Layer):
    """softmax(QK' / sqrt(width of a head)) V of every head: (batch, tokens, 3 x width) -> (batch, tokens, width).

    The last axis is the concatenation of queries, keys and values, each of them a concatenation of the heads.
    The projections before and after are plain dense layers, as in timm, so that its checkpoints fit.

    Source: Vaswani et al. 2017, eq. 1 and sec. 3.2.2; Dosovitskiy et al. 2021, appendix A.
    """

    def __init__(self, heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, inputs):
        """The attended values."""
        tokens, width = inputs.shape[1], inputs.shape[2] // 3
        each = width // self.heads
        parts = ops.reshape(inputs, (-1, tokens, 3 * self.heads, each))
        query, key, value = ops.split(ops.transpose(parts, (0, 2, 1, 3)), 3, axis=1)
        weights = ops.softmax(ops.matmul(query * each**-0.5, ops.transpose(key, (0, 1, 3, 2))), axis=-1)
        return ops.reshape(ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3)), (-1, tokens, width))

    def compute_output_shape(self, input_shape):
        """(batch, tokens, width)."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "heads": self.heads}
