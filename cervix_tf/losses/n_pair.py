"""Each anchor nearer to its own positive than to every image of another class."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cervix_tf.losses import pairs


@keras.saving.register_keras_serializable(package="cervix_tf")
class NPair(keras.losses.Loss):
    """-log(exp(x_i·y_i) / (sum over k != i of exp(x_i·x_k) + sum over all k of exp(x_i·y_k))), an anchor x_i each.

    Labels (batch,) of class numbers and unit-length embeddings (batch, features) -> a
    scalar, the mean over the N anchors (`reduction="sum"`: their sum). **The batch is
    2N rows: anchor x_i in row 2i, its positive y_i of the same class in row 2i + 1**;
    `cervix_tf.data.samplers.n_pairs` draws such batches. The other anchors are
    negatives too, which Sohn 2016 and most libraries leave out. Stable for embeddings of
    any length; computed in float32 whatever the embeddings are.

    Eq. 2 takes the N pairs from N different classes. Where a batch holds several pairs of
    a class, images of the anchor's own class other than x_i and y_i are left out of its
    denominator: they are no negatives. An anchor without negatives costs 0.

    Args:
        tuplet: Pairs of a tuplet. A batch holds one tuplet after the other, and no image of
            another one is in a denominator; 0: the whole batch is one tuplet.

    Raises `ValueError` for a negative tuplet.

    Source: Pal et al. 2021, Eq. 2.
    Departs: the text calls the batch loss "the mean of all N classes", its formula is the
        sum; the default is the mean, as in Sohn 2016, and the two differ by the factor N
        (2 in the paper).
    """

    def __init__(self, tuplet: int = 0, name: str = "n_pair", **kwargs: Any):
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        if tuplet < 0:
            raise ValueError(f"a tuplet has at least one pair, or 0 for the whole batch; got {tuplet}")
        self.tuplet = tuplet

    def call(self, y_true, y_pred):
        """Losses (N,)."""
        labels = ops.reshape(y_true, (-1,))
        anchors, positives = pairs.split(y_pred)
        similar = ops.matmul(anchors, ops.transpose(y_pred))  # (anchors, batch): x_i with every x_k and y_k
        rows = ops.arange(ops.shape(y_pred)[0])
        own = ops.expand_dims(rows[1::2], 1) == rows
        other_class = ops.expand_dims(labels[::2], 1) != labels
        negative = other_class
        if self.tuplet:
            of_tuplet = rows // (2 * self.tuplet)
            negative &= ops.expand_dims(of_tuplet[::2], 1) == of_tuplet
        terms = ops.where(own | negative, similar, -float("inf"))
        return ops.logsumexp(terms, axis=1) - ops.sum(anchors * positives, axis=1)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "tuplet": self.tuplet}
