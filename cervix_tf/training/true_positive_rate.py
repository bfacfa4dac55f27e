"""A Keras metric: how many of one class's samples are recognized."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class TruePositiveRate(keras.metrics.Metric):
    """Share of the samples of class number `of` whose highest score is that class's, in [0, 1]; NaN without any.

    Takes integer labels (batch,) and scores (batch, classes), logits or probabilities.

    Source: Buiu et al. 2020, Eq. 5.
    """

    def __init__(self, of: int, name: str = "true_positive_rate", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.of = of
        self.hits = self.add_variable((), initializer="zeros", name="hits")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch's hits and count; `sample_weight` is not used: a rate counts samples."""
        there = ops.cast(ops.reshape(y_true, (-1,)), "int32") == self.of
        said = ops.cast(ops.argmax(y_pred, axis=-1), "int32") == self.of
        self.hits.assign_add(ops.sum(ops.cast(there & said, self.hits.dtype)))
        self.count.assign_add(ops.sum(ops.cast(there, self.count.dtype)))

    def result(self) -> Any:
        """The rate so far."""
        return self.hits / self.count

    def get_config(self) -> dict:
        """Name, dtype and class."""
        return {"of": self.of, "name": self.name, "dtype": self.dtype}
