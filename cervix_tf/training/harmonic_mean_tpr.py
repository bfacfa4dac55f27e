"""A Keras metric: the harmonic mean of the classes' true positive rates."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cervix_tf")
class HarmonicMeanTPR(keras.metrics.Metric):
    """Harmonic mean over classes of recall, in [0, 1]; 0 as long as one class is never recognized.

    Takes integer labels (batch,) and scores (batch, classes), logits or probabilities.
    Classes without samples are left out.

    Source: Buiu et al. 2020, sec. 4.4.
    """

    def __init__(self, classes: int, name: str = "harmonic_mean_tpr", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        self.hits = self.add_variable((classes,), initializer="zeros", name="hits")
        self.count = self.add_variable((classes,), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch's hits and counts a class; `sample_weight` is not used: a rate counts samples."""
        labels = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), self.classes)
        said = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        self.hits.assign_add(ops.sum(labels * said, axis=0))
        self.count.assign_add(ops.sum(labels, axis=0))

    def result(self) -> Any:
        """The harmonic mean so far."""
        there = ops.cast(self.count > 0, self.hits.dtype)
        rates = self.hits / ops.maximum(self.count, 1)
        inverse = ops.sum(there / ops.maximum(rates, 1e-12))
        mean = ops.sum(there) / ops.maximum(inverse, 1e-12)
        return ops.where(ops.any((rates <= 0) & (there > 0)), 0.0, mean)

    def get_config(self) -> dict:
        """Name, dtype and number of classes."""
        return {"classes": self.classes, "name": self.name, "dtype": self.dtype}
