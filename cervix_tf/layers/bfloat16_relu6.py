"""ReLU6 that costs little in bfloat16."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="cervix_tf", name="Bfloat16ReLU6")
class Bfloat16ReLU6(keras.layers.ReLU):
    """The output, gradient and configuration of `keras.layers.ReLU`, sooner for `max_value` 6 in bfloat16.

    TensorFlow's CPU kernel of ReLU6 takes longer in bfloat16 than in float32. ReLU it
    merges into the batch normalization before it, so a minimum is all that is left to
    compute. For other types and values, and on other backends, it is Keras' own layer.
    """

    def call(self, inputs: Any) -> Any:
        """min(max(inputs, 0), 6)."""
        if (
            keras.backend.backend() != "tensorflow"
            or keras.backend.standardize_dtype(inputs.dtype) != "bfloat16"
            or (self.max_value, self.negative_slope, self.threshold) != (6, 0, 0)
        ):
            return super().call(inputs)
        return _relu6(inputs)


def _relu6(inputs: Any) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def relu6(x):
        y = tf.minimum(tf.nn.relu(x), tf.constant(6, x.dtype))
        # What TensorFlow's own ReLU6 has: the gradient of minimum would keep two more masks in memory.
        return y, lambda upstream: tf.raw_ops.Relu6Grad(gradients=upstream, features=y)

    return relu6(inputs)
