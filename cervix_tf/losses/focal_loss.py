"""Cross entropy that turns from what is already learned to what is still hard."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="cervix_tf")
class FocalLoss(keras.losses.Loss):
    """(1 - p)^gamma * -ln p, where p is the predicted probability of the true class.

    Labels (batch,) of class numbers and logits (batch, classes) -> a scalar, the mean
    over the batch (`reduction="sum"` gives the equation's sum). gamma 0 is the plain
    cross entropy. Finite with a useful gradient for any finite logits.

    `keras.losses.CategoricalFocalCrossentropy(alpha=1)` is the same equation, but it
    clips p, so its gradient vanishes on a sample that is confidently wrong.

    Args:
        gamma: How strongly samples that are already learned are discounted, 0 or more.
        from_logits: Whether predictions are logits rather than probabilities.

    Raises `ValueError` for a negative gamma.

    Source: Buiu et al. 2020, Eq. 8 (gamma 1, 2 and 5 in Table 8); Lin et al. 2017.
    Departs: mean instead of sum, so that the learning rate does not depend on the batch.
    """

    def __init__(self, gamma: float = 2.0, from_logits: bool = True, name: str = "focal_loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.gamma = float(gamma)
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        """Losses (batch,)."""
        entropy = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        doubt = -keras.ops.expm1(-entropy)  # 1 - p, exact for p near 1
        # The derivative of 0^gamma is infinite for gamma below 1.
        return keras.ops.power(keras.ops.maximum(doubt, keras.config.epsilon()), self.gamma) * entropy

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "gamma": self.gamma, "from_logits": self.from_logits}
