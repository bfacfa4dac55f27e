"""Maps in another order, so that the next group sees some of every group."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class ChannelShuffle(keras.layers.Layer):
    """The maps dealt out by group: (batch, height, width, maps) -> the same shape.

    Of two groups a, b, c and d, e, f it makes a, d, b, e, c, f.

    Source: Zhang et al. 2018 (ShuffleNet), sec. 3.1; Ma et al. 2018 (ShuffleNetV2), Fig. 3.
    """

    def __init__(self, groups: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, inputs):
        """The shuffled maps."""
        height, width, maps = inputs.shape[1:]
        x = ops.reshape(inputs, (-1, height * width, self.groups, maps // self.groups))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2)), (-1, height, width, maps))

    def compute_output_shape(self, input_shape):
        """The input shape."""
        return input_shape

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "groups": self.groups}
