"""The block that relates the feature maps of all seven views of a colposcopy visit."""

from __future__ import annotations

from typing import Any

import keras

from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization


@keras.saving.register_keras_serializable(package="cervix_tf")
class InvertedResidualFusion(keras.layers.Layer):
    """Feature maps that combine every stacked input map, at the same size.

    (batch, height, width, channels) -> (batch, height, width, filters). Inside,
    `expansion * channels` maps: 1x1 convolution, batch normalization, ReLU, dropout;
    full 3x3 convolution, batch normalization, ReLU, dropout; 1x1 convolution to
    `filters`, batch normalization. With the paper's 256 input maps it has
    15,124,608 weights, 5,184 of them moving statistics.

    Args:
        filters: Output maps.
        expansion: Inner maps as a multiple of the input maps.
        dropout: Probability that a single activation is dropped; may be set later
            (`block.dropout = 0.2`). A compiled model notices after its next `compile`.
        seed: Makes the dropped activations repeatable.

    Source: Buiu et al. 2020, Table 4 and sec. 3.5.3.
    Departs: whether the convolutions have a bias, and the normalization's constants,
        are not stated. As in the PyTorch MobileNetV2 the paper builds on: no bias
        before a normalization, epsilon 1e-5, momentum 0.9 (0.1 in PyTorch's terms).
        As in Table 4, and unlike MobileNetV2's own block: ReLU, not ReLU6; a full, not a
        depthwise, 3x3 convolution; no shortcut, since the numbers of maps differ.
    """

    def __init__(
        self,
        filters: int = 32,
        expansion: int = 5,
        dropout: float = 0.6,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.expansion = expansion
        self.seed = seed
        seeds = (None, None) if seed is None else (seed, seed + 1)
        # Keras gives a dropout layer made at rate 0 no random state, so the rate is set afterwards.
        self._dropouts = [
            keras.layers.Dropout(0.5, seed=seed, dtype=self.dtype_policy, name=name)
            for name, seed in zip(("dropout_1", "dropout_2"), seeds, strict=True)
        ]
        self.dropout = dropout
        self.steps: list[keras.layers.Layer] = []

    @property
    def dropout(self) -> float:
        """Probability that an activation is dropped in training, in [0, 1); others raise `ValueError`."""
        return self._dropouts[0].rate

    @dropout.setter
    def dropout(self, rate: float) -> None:
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"dropout is a probability in [0, 1), not {rate}")
        for layer in self._dropouts:
            layer.rate = rate

    def build(self, input_shape):
        """Make the ten layers of Table 4 for this number of input maps."""
        inner = self.expansion * input_shape[-1]
        policy = self.dtype_policy

        def convolution(name: str, filters: int, size: int) -> keras.layers.Layer:
            return keras.layers.Conv2D(filters, size, padding="same", use_bias=False, dtype=policy, name=name)

        def normalization(name: str) -> keras.layers.Layer:
            return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, dtype=policy, name=name)

        self.steps = [
            convolution("convolution_1", inner, 1),
            normalization("normalization_1"),
            keras.layers.ReLU(dtype=policy, name="relu_1"),
            self._dropouts[0],
            convolution("convolution_2", inner, 3),
            normalization("normalization_2"),
            keras.layers.ReLU(dtype=policy, name="relu_2"),
            self._dropouts[1],
            convolution("convolution_3", self.filters, 1),
            normalization("normalization_3"),
        ]
        shape = input_shape
        for step in self.steps:
            step.build(shape)
            shape = step.compute_output_shape(shape)
        super().build(input_shape)

    def call(self, inputs):
        """The fused maps; dropout and batch statistics act in training only."""
        maps = inputs
        for step in self.steps:  # each learns from Keras' call context whether this is training
            maps = step(maps)
        return maps

    def compute_output_shape(self, input_shape):
        """Input shape with `filters` channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Constructor arguments, the present dropout included."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "dropout": self.dropout,
            "seed": self.seed,
        }
