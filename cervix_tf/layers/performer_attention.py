"""Self-attention whose cost grows with the number of tokens, not with its square."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_SMALLEST = 1e-8


@keras.saving.register_keras_serializable(package="cervix_tf")
class PerformerAttention(keras.layers.Layer):
    """Attention by positive random features, one head: (batch, tokens, 3 x width) -> (batch, tokens, width).

    The last axis is the concatenation of keys, queries and values. exp(q k') is estimated by p(q) p(k)' with
    `p(x) = exp(w x - |x|^2 / 2) / sqrt(features)`; w is drawn once, orthogonal, and not trained.
    Computed in float32 under a mixed-precision policy too, since exponentials overflow 16 bits.

    Source: Choromanski et al. 2021, eq. 5.
    Departs: as T2T-ViT's `token_performer`: half as many features as the width, and rows of w of length
        sqrt(features), not sqrt(width), so that q k' counts half; values stand last, after keys and queries.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, input_shape):
        """Draw the features."""
        width = input_shape[-1] // 3
        features = width // 2
        self.w = self.add_weight(
            name="w",
            shape=(features, width),
            initializer=keras.initializers.Orthogonal(gain=features**0.5),
            trainable=False,
        )

    def call(self, inputs):
        """The attended values."""
        key, query, value = ops.split(inputs, 3, axis=-1)
        key, query = self._positive(key), self._positive(query)
        total = ops.matmul(query, ops.transpose(ops.sum(key, axis=1, keepdims=True), (0, 2, 1)))
        return ops.matmul(query, ops.matmul(ops.transpose(key, (0, 2, 1)), value)) / (total + _SMALLEST)

    def _positive(self, x):
        halves = ops.sum(ops.square(x), axis=-1, keepdims=True) / 2
        return ops.exp(ops.matmul(x, ops.transpose(self.w)) - halves) * self.w.shape[0] ** -0.5

    def compute_output_shape(self, input_shape):
        """(batch, tokens, width)."""
        return (*input_shape[:-1], input_shape[-1] // 3)
