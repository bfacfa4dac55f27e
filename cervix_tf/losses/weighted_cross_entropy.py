"""Cross entropy with one weight per class, which may change from epoch to epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike


@keras.saving.register_keras_serializable(package="cervix_tf")
class WeightedCrossEntropy(keras.losses.Loss):
    """w[y] * -ln p, where p is the predicted probability and w[y] the weight of the true class.

    Labels (batch,) of class numbers and logits (batch, classes) -> a scalar, the mean
    over the batch (`reduction="sum"` gives the equation's sum).

    The weights are a variable: `loss.assign(weights)` between epochs takes effect
    without compiling or tracing again, on JAX in a model that is compiled with
    `cervix_tf.training.loss_variables` among its metrics. They are no part of a model's
    checkpoint; who resumes a run assigns them again. Under a tf.distribute strategy, make
    the loss inside its scope.

    Args:
        weights: One finite number per class, none negative.
        from_logits: Whether predictions are logits rather than probabilities.

    Raises `ValueError` for other weights.

    Source: Buiu et al. 2020, Eq. 7.
    Departs: mean instead of sum, so that the learning rate does not depend on the
        batch. PyTorch's weighted cross entropy divides by the sum of the batch's weights
        instead of its size; Eq. 7 divides by neither, and the batch size keeps every
        sample's share the same in every batch.
    """

    def __init__(
        self,
        weights: ArrayLike,
        from_logits: bool = True,
        name: str = "weighted_cross_entropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits
        self.weights = keras.Variable(_checked(weights), trainable=False, dtype="float32", name="class_weights")

    def assign(self, weights: ArrayLike) -> None:
        """Use other class weights from the next step on. Raises `ValueError` when they are not as many or not valid."""
        values = _checked(weights)
        if values.shape != tuple(self.weights.shape):
            raise ValueError(f"{self.weights.shape[0]} class weights are needed, got {len(values)}")
        self.weights.assign(values)

    def call(self, y_true, y_pred):
        """Losses (batch,)."""
        entropy = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        labels = keras.ops.reshape(keras.ops.cast(y_true, "int32"), keras.ops.shape(entropy))
        return keras.ops.cast(keras.ops.take(self.weights, labels), entropy.dtype) * entropy

    def get_config(self):
        """Constructor arguments, with the present weights."""
        weights = [float(weight) for weight in keras.ops.convert_to_numpy(self.weights)]
        return {**super().get_config(), "weights": weights, "from_logits": self.from_logits}


def _checked(weights: ArrayLike) -> np.ndarray:
    values = np.asarray(weights, dtype="float32")
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"class weights are one finite number per class, none negative; got {weights!r}")
    return values
