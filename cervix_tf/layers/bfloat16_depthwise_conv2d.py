"""Depthwise convolution whose gradient costs little in bfloat16."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="cervix_tf", name="Bfloat16DepthwiseConv2D")
class Bfloat16DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """The output, weights, gradient and configuration of `keras.layers.DepthwiseConv2D`, sooner with strides.

    On CPUs TensorFlow's gradient of a strided depthwise convolution by its input takes
    nine times as long in bfloat16 as in float32 (measured: 64 and 7 ms), so that one
    gradient is computed in float32. Without strides, with a bias, in other types
    and on other backends it is Keras' own layer.
    """

    def call(self, inputs: Any) -> Any:
        """The convolved maps."""
        if (
            keras.backend.backend() != "tensorflow"
            or keras.backend.standardize_dtype(inputs.dtype) != "bfloat16"
            or self.strides[0] == 1
            or self.strides[0] != self.strides[1]
            or self.dilation_rate != (1, 1)
            or self.data_format != "channels_last"
            or self.use_bias
        ):
            return super().call(inputs)
        outputs = _convolved(inputs, keras.ops.cast(self.kernel, "bfloat16"), self.strides[0], self.padding.upper())
        return outputs if self.activation is None else self.activation(outputs)


def _convolved(inputs: Any, kernel: Any, stride: int, padding: str) -> Any:
    import tensorflow as tf

    how = {"strides": [1, stride, stride, 1], "padding": padding}

    @tf.custom_gradient
    def convolved(x, kernel):
        def gradient(upstream):
            of_input = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x),
                filter=tf.cast(kernel, "float32"),
                out_backprop=tf.cast(upstream, "float32"),
                **how,
            )
            of_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x, filter_sizes=tf.shape(kernel), out_backprop=upstream, **how
            )
            return tf.cast(of_input, x.dtype), of_kernel

        return tf.nn.depthwise_conv2d(x, kernel, **how), gradient

    return convolved(inputs, kernel)


# Keras stores weights under a layer's class name; see FusedBatchNormalization.
Bfloat16DepthwiseConv2D.__name__ = "DepthwiseConv2D"
