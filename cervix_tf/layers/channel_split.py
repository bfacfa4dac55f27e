"""Maps in equal parts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class ChannelSplit(keras.layers.Layer):
    """The maps in `parts` equal parts: (batch, height, width, maps) -> that many (batch, height, width, maps / parts).

    Source: Ma et al. 2018 (ShuffleNetV2), Fig. 3c, "channel split".
    """

    def __init__(self, parts: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, inputs):
        """The parts, in order."""
        return ops.split(inputs, self.parts, axis=-1)

    def compute_output_shape(self, input_shape):
        """The shape of each part."""
        return [(*input_shape[:-1], input_shape[-1] // self.parts)] * self.parts

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "parts": self.parts}
