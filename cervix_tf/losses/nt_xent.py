"""Two views of an image nearer to each other than to every view of every other image."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cervix_tf.losses import pairs


@keras.saving.register_keras_serializable(package="cervix_tf")
class NTXent(keras.losses.Loss):
    """-log(exp(f_i·f_j / tau) / sum over k != i of exp(f_i·f_k / tau)), i and j the two views of an image.

    Anything and embeddings (2N, features) -> a scalar, the mean over the 2N views i
    (`reduction="sum"`: their sum). **Rows 2i and 2i + 1 are the two views of an image**, as
    `cervix_tf.data.pipeline.views` gives them; the 2N - 2 other views of the batch are the
    negatives, so labels are not looked at. An image alone in its batch costs 0. Stable for
    embeddings of any length; computed in float32 whatever the embeddings are.

    Inside `cervix_tf.training.global_batch.GlobalBatch` the negatives are those of all replicas.

    Args:
        temperature: tau.

    Raises `ValueError` when the temperature is not above 0.

    Source: Pal, Xue, Antani, Eq. 1; SimCLR: Chen et al. 2020, Eq. 1 and algorithm 1.
    Departs: Eq. 1's sum runs over i and its condition over k; both are k here, as in SimCLR.
    """

    def __init__(self, temperature: float = 0.1, name: str = "nt_xent", **kwargs: Any):
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        if not temperature > 0:
            raise ValueError(f"the temperature is above 0; got {temperature}")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        """Losses (2N,)."""
        first, second = pairs.split(y_pred)
        similar = ops.matmul(y_pred, ops.transpose(y_pred)) / self.temperature
        rows = ops.arange(ops.shape(y_pred)[0])
        others = ops.where(ops.expand_dims(rows, 1) == rows, -float("inf"), similar)
        own = ops.repeat(ops.sum(first * second, axis=1), 2) / self.temperature
        return ops.logsumexp(others, axis=1) - own

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "temperature": self.temperature}
