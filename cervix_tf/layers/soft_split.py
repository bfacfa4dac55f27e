"""Overlapping patches as tokens."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class SoftSplit(keras.layers.Layer):
    """All pixels of overlapping windows as tokens: (batch, height, width, maps) -> (batch, n, maps x size x size).

    `padding` zeros on every side first. A token holds the window's first map row by row,
    then the second, the order of PyTorch's Unfold, so that its checkpoints fit.

    Source: Yuan et al. 2021 (T2T-ViT), sec. 3.1, eq. 2 ("soft split").
    """

    def __init__(self, size: int, stride: int, padding: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.stride, self.padding = size, stride, padding

    def call(self, inputs):
        """The tokens, row by row of the image."""
        sides = ((self.padding, self.padding),) * 2
        x = ops.pad(inputs, ((0, 0), *sides, (0, 0)))
        rows, columns = self.grid(inputs.shape)
        parts = [
            x[
                :,
                i : i + self.stride * (rows - 1) + 1 : self.stride,
                j : j + self.stride * (columns - 1) + 1 : self.stride,
            ]
            for i in range(self.size)
            for j in range(self.size)
        ]
        return ops.reshape(ops.stack(parts, axis=-1), (-1, *self.compute_output_shape(inputs.shape)[1:]))

    def grid(self, input_shape: tuple) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, columns = ((side + 2 * self.padding - self.size) // self.stride + 1 for side in input_shape[1:3])
        return rows, columns

    def compute_output_shape(self, input_shape):
        """(batch, n, maps x size x size)."""
        rows, columns = self.grid(input_shape)
        return (input_shape[0], rows * columns, input_shape[3] * self.size**2)

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "size": self.size, "stride": self.stride, "padding": self.padding}
