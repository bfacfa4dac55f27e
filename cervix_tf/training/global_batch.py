"""Losses that compare images with each other, on all replicas' images together."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="cervix_tf")
class GlobalBatch(keras.losses.Loss):
    """`loss` of the whole batch, whatever number of replicas it is spread over.

    Under a tf.distribute strategy a loss sees the share of its own replica only, so a
    contrastive loss would have the fewer negatives the more devices there are. This one
    gathers labels and embeddings of all replicas, in the order of the whole batch, before
    it calls `loss`. Value and gradients equal those of one device with the whole batch.
    On one device it is `loss` itself.

    Every replica computes the whole loss and keeps 1 / replicas of it; the gather's
    gradient adds what each of them says about the embeddings of one replica. That repeats
    the loss's matrix product on each device, and spares a second exchange. A loss of pairs
    needs an even number of rows on each replica.

    Args:
        loss: A loss of (labels, embeddings) with a scalar result.
    """

    def __init__(self, loss: keras.losses.Loss, name: str | None = None, **kwargs: Any):
        super().__init__(name=name or loss.name, **{"dtype": loss.dtype, **kwargs})
        if loss.reduction in {None, "none"}:
            raise ValueError(f"{loss.name} has one value per row; give it reduction='sum' or 'sum_over_batch_size'")
        self.loss = loss

    def call(self, y_true, y_pred):
        """The loss of the whole batch, a scalar; on each of several replicas its share."""
        batch = (y_true, y_pred)
        context = tf.distribute.get_replica_context()  # None outside a replica, where Keras looks at shapes only
        if context is None or context.num_replicas_in_sync == 1:
            return self.loss(*batch)
        # One by one: the gradient of gathering tensors of different ranks together fails (TensorFlow 2.21).
        value = self.loss(*(tf.ensure_shape(context.all_gather(x, axis=0), [None, *x.shape[1:]]) for x in batch))
        # Keras has divided a mean by the number of replicas already, and expects that sums are partial sums.
        return value / context.num_replicas_in_sync if self.loss.reduction == "sum" else value

    def get_config(self):
        """Constructor arguments."""
        return {"name": self.name, "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config):
        """The loss that `get_config` described."""
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})
