"""The learned tokens before an image's tokens, and every token's position."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class TokenEmbedding(keras.layers.Layer):
    """A learned class token before the others, positions added to all: (batch, n, width) -> (batch, 1 + n, width).

    Positions are learned, or, with `sines`, fixed sines and cosines. Either way there is one for
    each token, so that weights fit images of one size only. With `distilled` a second learned token, the
    distillation token, stands after the class token: (batch, 2 + n, width).

    Source: Dosovitskiy et al. 2021, eq. 1; Vaswani et al. 2017, sec. 3.5 (sines); Touvron et al. 2021, sec. 3.
    """

    def __init__(self, sines: bool = False, distilled: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.sines = sines
        self.distilled = distilled

    @property
    def learned(self) -> int:
        """Tokens before the image's."""
        return 2 if self.distilled else 1

    def build(self, input_shape):
        """Make the class token and the positions."""
        tokens, width = input_shape[1:]
        first = keras.initializers.RandomNormal(stddev=0.02)
        self.cls_token = self.add_weight(name="cls_token", shape=(1, 1, width), initializer=first)
        if self.distilled:
            self.dist_token = self.add_weight(name="dist_token", shape=(1, 1, width), initializer=first.clone())
        positions = (lambda shape, dtype: ops.cast(_sines(*shape[1:]), dtype)) if self.sines else first.clone()
        self.pos_embed = self.add_weight(
            name="pos_embed", shape=(1, self.learned + tokens, width), initializer=positions, trainable=not self.sines
        )

    def call(self, inputs):
        """The longer sequence."""
        tokens = ops.concatenate([self.cls_token, self.dist_token], axis=1) if self.distilled else self.cls_token
        tokens = ops.pad(tokens, ((0, 0), (0, inputs.shape[1]), (0, 0)))
        return ops.pad(inputs, ((0, 0), (self.learned, 0), (0, 0))) + ops.cast(tokens + self.pos_embed, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """The learned tokens more."""
        return (input_shape[0], self.learned + input_shape[1], input_shape[2])

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "sines": self.sines, "distilled": self.distilled}


def _sines(tokens: int, width: int) -> np.ndarray:
    """(1, tokens, width): sine in even and cosine in odd columns, of wavelengths from 2 pi to 20,000 pi."""
    column = np.arange(width)
    angles = np.arange(tokens)[:, None] / 10000 ** (2 * (column // 2) / width)
    return np.where(column % 2, np.cos(angles), np.sin(angles))[None]
