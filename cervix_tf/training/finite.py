"""Training that ends at the first loss that is no number, and says which images it was on, or at such weights."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.training import devices

_NAMED = 8  # files in the message: a batch may have hundreds


class FiniteLoss(keras.callbacks.Callback):
    """Ends training with an `InputError` at the first batch, of training or validation, whose loss is NaN or infinite.

    It looks at the mean loss that Keras keeps anyway, in Keras' own thread, so no step waits for it. No loss
    need show what an epoch's last step makes of the weights, so it looks at these after each epoch.
    `training` are the batches from epoch `first` (from 0) on. What earlier epochs left in the run stays.
    """

    async_safe = True

    def __init__(
        self,
        training: tf.data.Dataset,
        validation: tf.data.Dataset | None,
        *,
        first: int,
        steps_per_epoch: int,
        out: RunDir,
    ) -> None:
        super().__init__()
        self.training, self.validation, self.out = training, validation, out
        self.first, self.steps_per_epoch = first, steps_per_epoch
        self.epoch = first

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember which epoch it is, for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the training loss."""
        if not math.isfinite(loss := (logs or {})["loss"]):
            step = (self.epoch - self.first) * self.steps_per_epoch + batch
            raise self._error("loss", loss, f"batch {batch + 1} of {self.steps_per_epoch}", self.training, step)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the validation loss."""
        if not math.isfinite(loss := (logs or {})["loss"]):
            raise self._error("validation loss", loss, f"batch {batch + 1}", self.validation, batch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the weights."""
        for variable in self.model.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise self._refusal(f"{variable.path} is not finite after epoch {epoch + 1}, although its loss is", "")

    def _error(self, what: str, loss: float, where: str, batches: tf.data.Dataset | None, step: int) -> InputError:
        files = pipeline.files(batches, step) if batches is not None and devices.worker() is None else []
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        of = f" ({', '.join(files[:_NAMED])}{more})" if files else ""
        return self._refusal(f"the {what} is {loss} in epoch {self.epoch + 1}, {where}{of}", " or fix these images,")

    def _refusal(self, said: str, remedy: str) -> InputError:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        narrow = " or train in float32," if self.model.dtype_policy.compute_dtype != "float32" else ""
        kept = f"the state after epoch {self.epoch} is kept" if self.epoch else "no epoch was finished"
        return InputError(
            f"{self.out.root}: {said}; {kept}: lower the learning rate ({rate:g}),{narrow}{remedy} "
            "and give that run another name"
        )
