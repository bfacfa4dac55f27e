"""The head that contrastive self-supervised learning trains through and throws away afterwards."""

from __future__ import annotations

from typing import Any

import keras

from cervix_tf.layers.l2_embedding import L2Embedding


@keras.saving.register_keras_serializable(package="cervix_tf")
class SimCLRProjection(keras.layers.Layer):
    """What `losses.nt_xent` compares: one dense layer with ReLU, each row stretched to length 1.

    (batch, features) -> (batch, width). Entries are not negative, so that dot products of
    rows are in [0, 1]. Under a mixed-precision policy the rows come out in float32.

    Args:
        width: Neurons of the dense layer.
        normalize: Off: the dense layer's output as it is, of any length.

    Source: Pal, Xue, Antani, sec. III-B: a dense layer with a ReLU activation, 64 neurons
        (128 and 256 tried).
    Departs: the paper does not say whether features are stretched to length 1; SimCLR,
        which it follows, does (Chen et al. 2020, sec. 2.1), and has a second, linear layer.
    """

    def __init__(self, width: int = 64, normalize: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.width, self.normalize = width, normalize
        self.dense = keras.layers.Dense(width, activation="relu", dtype=self.dtype_policy, name="dense")
        self.stretch = L2Embedding(name="stretch") if normalize else None

    def build(self, input_shape):
        """Make the dense layer's weights."""
        self.dense.build(input_shape)

    def call(self, inputs):
        """The projected rows."""
        projected = self.dense(inputs)
        return projected if self.stretch is None else self.stretch(projected)

    def compute_output_shape(self, input_shape):
        """(batch, width)."""
        return (*input_shape[:-1], self.width)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "width": self.width, "normalize": self.normalize}
