"""Batch normalization by TensorFlow's one fused operation."""

from __future__ import annotations

import keras

from cervix_tf.layers.on_cpu import on_cpu


@keras.saving.register_keras_serializable(package="cervix_tf", name="FusedBatchNormalization")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """The output, weights, configuration and moving statistics of `keras.layers.BatchNormalization`, sooner.

    (batch, height, width, channels) -> the same shape; so for any other rank or axis.

    Keras computes moments and normalization as about ten small operations. Where
    TensorFlow has one operation for the whole (rank 4, channels last, no mask,
    per-replica statistics, no renormalization, at most 32 bit), this layer calls it;
    everywhere else, other Keras backends included, it is Keras' own layer. Numbers
    agree within float tolerance. 16-bit inputs go in as they are: the operation
    keeps its sums in float32 itself. Where it is slow in bfloat16 they are cast to float32
    before, and its output back.
    """

    def call(self, inputs, training=None, mask=None):
        """The normalized inputs; updates the moving statistics when training and trainable."""
        if mask is not None or not self._can_fuse(inputs):
            return super().call(inputs, training=training, mask=mask)

        import tensorflow as tf

        channels = (inputs.shape[-1],)
        offset = keras.ops.cast(self.beta, "float32") if self.center else tf.zeros(channels)
        scale = keras.ops.cast(self.gamma, "float32") if self.scale else tf.ones(channels)
        mean = keras.ops.cast(self.moving_mean, "float32")
        variance = keras.ops.cast(self.moving_variance, "float32")
        train = bool(training and self.trainable)
        if self._slow_in_bfloat16(inputs):
            inputs = tf.cast(inputs, "float32")
        # The raw operation takes epsilon as it is; tf.compat.v1.nn.fused_batch_norm raises it to 1.001e-5.
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=tf.zeros((0,)) if train else mean,
            variance=tf.zeros((0,)) if train else variance,
            epsilon=self.epsilon,
            is_training=train,
        )
        if train:
            # It reports n / (n - 1) times the variance that it normalized by; Keras averages the latter.
            n = tf.cast(tf.size(inputs) // channels[0], "float32")
            batch_variance = normalized.batch_variance * ((n - 1.0) / n)
            self.moving_mean.assign(mean * self.momentum + normalized.batch_mean * (1.0 - self.momentum))
            self.moving_variance.assign(variance * self.momentum + batch_variance * (1.0 - self.momentum))
        return keras.ops.cast(normalized.y, self.compute_dtype)

    def _can_fuse(self, inputs: keras.KerasTensor) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "float16", "bfloat16")
            and not self.synchronized
            and not self.renorm
        )

    def _slow_in_bfloat16(self, inputs: keras.KerasTensor) -> bool:
        # oneDNN has fast code for multiples of 16 maps. Measured for 728 and 24 maps, forward and backward: 7.8 and
        # 17.7 ms in bfloat16, 3.5 and 3.9 ms in float32 with the casts.
        sixteen = keras.backend.standardize_dtype(inputs.dtype) == "bfloat16"
        return sixteen and inputs.shape[-1] % 16 != 0 and on_cpu()


# Keras stores weights under a layer's class name; with its own name here, plain and fused share weight files.
FusedBatchNormalization.__name__ = "BatchNormalization"
