"""The last layer of an embedding network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SHORTEST = 1e-6
"""Length below which a row is no longer stretched to 1."""


@keras.saving.register_keras_serializable(package="cervix_tf")
class L2Embedding(keras.layers.Layer):
    """Unit-length feature vectors, float32.

    (batch, features) -> (batch, features). Each row has L2 norm 1, so the dot product
    of two rows is their cosine similarity; an all-zero row stays zero. Rows shorter than
    1e-6 keep their direction and stay shorter than 1.

    `keras.layers.UnitNormalization` differs in two ways: under a mixed-precision policy it
    squares in 16 bits, where the sum of 1280 features overflows and the embedding becomes
    0, and TFLite's converter does not recognize its fused, quantizable L2 normalization in it.

    Source: Pal et al. 2021, sec. IV-B.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, inputs):
        """The stretched rows."""
        squares = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, SHORTEST**2))

    def compute_output_shape(self, input_shape):
        """The input shape."""
        return input_shape
