"""A callback that weighs each class again after every epoch, by how often the network errs on it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from cervix_tf import history_file
from cervix_tf.config import Phi
from cervix_tf.losses.dynamic_weights import dynamic_weights
from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy
from cervix_tf.run_dir import RunDir


class DynamicClassWeights(keras.callbacks.Callback):
    """Sets the weights of `loss` after each epoch from the true positive rates of that epoch's training batches.

    The network must measure `tpr_<class>` (`TruePositiveRate`) for each of `classes`, in
    the order of their numbers. In the first epoch all weights are equal. An epoch's
    history gains the weights it was trained with, as `weight_<class>`; a run that goes on
    in `out` takes up the rates in its history.csv, so that it does not differ from one
    that was never interrupted.

    Source: Buiu et al. 2020, sec. 3.4.1, Eq. 9 and 10.
    Departs: the paper does not say how the training error rates are measured; here they
        are those of the batches as they are trained on, augmented and with dropout.
    """

    def __init__(self, loss: WeightedCrossEntropy, phi: Phi, classes: Sequence[str], out: RunDir) -> None:
        super().__init__()
        self.loss, self.phi, self.classes, self.out = loss, phi, tuple(classes), out
        self.weights = np.full(len(self.classes), 1.0 / len(self.classes))

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Take up where the history stands."""
        if self.out.history.exists():
            self._weigh(history_file.read(self.out.history).iloc[-1].to_dict())
        self.loss.assign(self.weights)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Note the epoch's weights and set the next one's."""
        assert logs is not None
        rates = dict(logs)
        logs |= {f"weight_{name}": weight for name, weight in zip(self.classes, self.weights, strict=True)}
        self._weigh(rates)
        self.loss.assign(self.weights)

    def _weigh(self, rates: dict) -> None:
        self.weights = dynamic_weights([rates[f"tpr_{name}"] for name in self.classes], self.phi)
