"""Pairs of one class together, pairs of two classes apart."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cervix_tf.losses import pairs


@keras.saving.register_keras_serializable(package="cervix_tf")
class Contrastive(keras.losses.Loss):
    """[d - m_pos]+ of a pair of one class, [m_neg - d]+ of a pair of two classes; d is the Euclidean distance.

    Labels (batch,) of class numbers and unit-length embeddings (batch, features) -> a
    scalar, the mean over the batch / 2 pairs (`reduction="sum"`: their sum). **Rows 2i
    and 2i + 1 are a pair**, positive when their labels are equal, so the batch size is
    even; `cervix_tf.data.samplers.pairs` draws such batches. Finite with finite
    gradients when both rows coincide. Computed in float32 whatever the embeddings are.

    Args:
        m_pos: Distance up to which a positive pair costs nothing, in [0, 2].
        m_neg: Distance from which on a negative pair costs nothing, in [0, 2].

    Raises `ValueError` when either is negative.

    Source: Pal et al. 2021, Eq. 1; m_pos and m_neg of sec. IV-B.
    Departs: the paper's mini-batch is "a randomly sampled pair" and Eq. 1 adds one
        positive and one negative distance, so how many pairs a step has is not stated; here
        a batch holds any number of either kind and the loss is their mean, half of Eq. 1's
        expectation when the kinds are balanced. The distance is not named; Euclidean.
        Hadsell et al. 2006 and tensorflow-addons square both terms, Eq. 1 does not.
    """

    def __init__(self, m_pos: float = 0.0, m_neg: float = 0.25, name: str = "contrastive", **kwargs: Any):
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        if not (m_pos >= 0 and m_neg >= 0):
            raise ValueError(f"m_pos and m_neg are distances, not negative; got {m_pos} and {m_neg}")
        self.m_pos = float(m_pos)
        self.m_neg = float(m_neg)

    def call(self, y_true, y_pred):
        """Losses (pairs,)."""
        first, second = pairs.split(ops.reshape(y_true, (-1,)))
        distance = pairs.euclidean(*pairs.split(y_pred))
        too_far, too_near = ops.relu(distance - self.m_pos), ops.relu(self.m_neg - distance)
        return ops.where(first == second, too_far, too_near)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "m_pos": self.m_pos, "m_neg": self.m_neg}
