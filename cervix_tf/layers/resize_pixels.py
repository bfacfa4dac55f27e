"""The first layer of every exported model: images of any size to the network's size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class ResizePixels(keras.layers.Layer):
    """Pixels at the network's size, float32 in the input's range, not rounded.

    (batch, [views,] any height, any width, 3) uint8 or float ->
    (batch, [views,] height, width, 3) float32. Bilinear with half-pixel centers and no
    antialiasing, so equal to `tf.image.resize`. With `supersampling` above 1 the image is first
    resized to that many times the size and then average-pooled, which antialiases images of
    any size with operations that TFLite's fast kernels have (see docs/guides/choices.md).
    Sizes may be unknown when the graph is made.

    Args:
        height: Pixels.
        width: Pixels.
        supersampling: Samples per pixel along each axis.
    """

    def __init__(self, height: int, width: int, supersampling: int = 1, **kwargs: Any):
        # Pixels keep float32 under a mixed-precision policy too: 16 bits cannot hold what lies between 254 and 255.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.height = height
        self.width = width
        self.supersampling = supersampling

    def call(self, inputs):
        """The resized pixels."""
        images = ops.cast(inputs, "float32")
        if len(inputs.shape) == 4:
            return self._resized(images)
        # View by view: folding views into the batch needs the image size as a tensor, and after a reshape
        # to such a size TFLite can plan neither memory nor its fast kernels.
        return ops.stack([self._resized(view) for view in ops.unstack(images, axis=1)], axis=1)

    def _resized(self, images):
        size = (self.supersampling * self.height, self.supersampling * self.width)
        resized = ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
        if self.supersampling == 1:
            return resized
        return ops.average_pool(
            resized, self.supersampling, self.supersampling, padding="valid", data_format="channels_last"
        )

    def compute_output_shape(self, input_shape):
        """The input shape with the layer's height and width."""
        return (*input_shape[:-3], self.height, self.width, input_shape[-1])

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "height": self.height, "width": self.width, "supersampling": self.supersampling}
