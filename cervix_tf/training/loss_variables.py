"""A loss's own variables, as part of what a compiled step takes in."""

from __future__ import annotations

from typing import Any

import keras

from cervix_tf.training import backend


def metrics(loss: keras.losses.Loss) -> list[keras.metrics.Metric]:
    """What to compile a network with, beside `loss`, so that its variables can be assigned between epochs.

    Nothing on TensorFlow, which reads a variable in each step, nor for a loss without variables.
    """
    variables = [each for each in vars(loss).values() if isinstance(each, keras.Variable)]
    return [LossVariables(variables)] if variables and not backend.is_tensorflow() else []


class LossVariables(keras.metrics.Metric):
    """Measures nothing: carries `variables` into the compiled step.

    On JAX, Keras hands the variables of the network, the optimizer and the metrics to a step; any other variable is
    compiled into it as the constant that it was when the step was traced.
    """

    def __init__(self, variables: list[keras.Variable]) -> None:
        super().__init__(name="loss_variables")
        self.carried = variables

    def update_state(self, *_: Any, **__: Any) -> None:
        """Nothing is measured."""

    def reset_state(self) -> None:
        """The variables are the loss's: they stay."""

    def result(self) -> dict:
        """No value, so that no history has a column of it."""
        return {}
