"""Grouped convolution that trains on a CPU, as ResNeXt needs it."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class GroupedConv2D(keras.layers.Conv2D):
    """The output, weights and configuration of `keras.layers.Conv2D` with `groups`, as one convolution a group.

    (batch, height, width, channels) -> (batch, new height, new width, filters); group g
    of the filters sees group g of the channels only. The kernel is
    (size, size, channels / groups, filters).

    On a CPU TensorFlow has no gradient of a grouped convolution (but for builds with
    oneDNN), so Keras compiles such a layer with XLA: a training step of one layer takes
    seconds instead of milliseconds. One convolution a group trains and runs anywhere,
    and exports to TFLite as split, convolution and concatenation.
    """

    def convolution_op(self, inputs, kernel):
        """The groups' convolutions, side by side."""
        convolution = super().convolution_op
        channels = 1 if self.data_format == "channels_first" else -1
        parts = zip(ops.split(inputs, self.groups, axis=channels), ops.split(kernel, self.groups, axis=-1), strict=True)
        return ops.concatenate([convolution(part, filters) for part, filters in parts], axis=channels)
