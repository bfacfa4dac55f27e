"""Triplets of each anchor with its farthest image of its own class and its nearest of another."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cervix_tf.losses.pairs import euclidean


@keras.saving.register_keras_serializable(package="cervix_tf")
class BatchHard(keras.losses.Loss):
    """[margin + largest distance within the class - smallest distance to another class]+ of each anchor.

    Labels (batch,) of class numbers and unit-length embeddings (batch, features) -> a
    scalar, the sum over all anchors as in the paper (`reduction="sum_over_batch_size"`:
    their mean). Every row is an anchor; rows may come in any order;
    `cervix_tf.data.samplers.p_by_s` draws P classes x S images. An anchor without an
    image of another class costs 0; one that is alone in its class is its own positive.

    One matrix product finds each anchor's two hardest partners; their distances are then
    computed again from differences. So distances are exact for near rows too, gradients
    are finite where rows coincide, and the backward pass needs no (batch, batch) matrix.
    Of equally hard partners, squared distances within about 1e-6 of each other, any one
    gets the gradient. Computed in float32 whatever the embeddings are.

    Args:
        margin: m of the equation, a distance; unit vectors are at most 2 apart.

    Raises `ValueError` for a negative margin.

    Source: Pal et al. 2021, sec. III-C, third display; P = 2, S = 8, m = 0.25 of
        sec. IV-B. Hermans et al. 2017.
    Departs: the distance D is not named; Euclidean, as Hermans et al. recommend.
    """

    def __init__(self, margin: float = 0.25, reduction: str = "sum", name: str = "batch_hard", **kwargs: Any):
        super().__init__(name=name, reduction=reduction, **{"dtype": "float32", **kwargs})
        if not margin >= 0:
            raise ValueError(f"margin is a distance, not negative; got {margin}")
        self.margin = float(margin)

    def call(self, y_true, y_pred):
        """Losses (batch,)."""
        labels = ops.reshape(y_true, (-1,))
        same = ops.expand_dims(labels, 1) == labels
        fixed = ops.stop_gradient(y_pred)
        # Squared distance less |anchor|², which is the same along a row and so changes no maximum.
        order = ops.sum(ops.square(fixed), axis=1) + ops.matmul(-2 * fixed, ops.transpose(fixed))
        farthest = ops.argmax(ops.where(same, order, -float("inf")), axis=1)
        nearest = ops.argmin(ops.where(same, float("inf"), order), axis=1)
        intra = euclidean(y_pred, ops.take(y_pred, farthest, axis=0))
        inter = euclidean(y_pred, ops.take(y_pred, nearest, axis=0))
        return ops.where(ops.all(same, axis=1), 0, ops.relu(self.margin + intra - inter))

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "margin": self.margin}
