"""Adam and gradient descent with momentum, each with one operation a weight.

The same updates, settings and state as Keras' own optimizers have for float32 weights. Keras
writes Adam as some 28 and momentum as some 8 small operations for each weight: a network of
500 weights spends most of its tracing on them, and each reads and writes memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class _OneOperationAWeight(keras.optimizers.Optimizer):
    """What both do in place of Keras' `update_step`, inside what Keras does for a tf.distribute strategy.

    Of them are `_operation(learning_rate)`, made once a step, which updates one weight given
    it, its gradient and its state, and `_state(at)`, the state of the weight number `at`.
    """

    def _distributed_tf_update_step(
        self, distribution: tf.distribute.Strategy, grads_and_vars: list[tuple], learning_rate: tf.Tensor
    ) -> None:
        # Of a schedule under mirroring the rate is one number a replica, all the same.
        rate = distribution.experimental_local_results(learning_rate)[0]
        update = self._operation(tf.cast(rate, tf.float32))
        for gradient, weight in grads_and_vars:
            state = [variable.value for variable in self._state(self._get_variable_index(weight))]
            distribution.extended.update(weight, update, args=(gradient, *state), group=False)

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        if self.weight_decay is None:
            return
        # Subtracted: 1 - share, rounded once, would be wrong in the same direction for every weight.
        share = tf.cast(self.learning_rate, tf.float32) * self.weight_decay
        weights = [each.value if isinstance(each, keras.Variable) else each for each in variables]

        def decay(distribution: tf.distribute.Strategy) -> None:
            for weight in filter(self._use_weight_decay, weights):
                distribution.extended.update(weight, lambda part: part.assign_sub(part * share), group=False)

        tf.__internal__.distribute.interim.maybe_merge_call(decay, self._distribution_strategy)


@keras.saving.register_keras_serializable(package="cervix_tf")
class FusedAdam(_OneOperationAWeight, keras.optimizers.Adam):
    """Adam, or AdamW with `weight_decay`, by TensorFlow's own `ResourceApplyAdam`.

    Raises `ValueError` for `amsgrad`, which the operation does not have.

    Source: Kingma and Ba 2015, sec. 2, last paragraph; Loshchilov and Hutter 2019, algorithm 2, for the decay.
    Departs: the decay is multiplied by the learning rate, as in Keras and PyTorch.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.amsgrad:
            raise ValueError("FusedAdam has no amsgrad; use keras.optimizers.Adam")

    def _state(self, at: int) -> tuple[keras.Variable, ...]:
        return self._momentums[at], self._velocities[at]

    def _operation(self, learning_rate: tf.Tensor) -> Callable[..., None]:
        step = tf.cast(self.iterations + 1, tf.float32)
        shared = {
            "lr": learning_rate,
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }

        def update(weight: tf.Variable, gradient: tf.Tensor, first: tf.Variable, second: tf.Variable) -> None:
            dense = tf.convert_to_tensor(gradient)
            tf.raw_ops.ResourceApplyAdam(var=weight.handle, m=first.handle, v=second.handle, grad=dense, **shared)

        return update


@keras.saving.register_keras_serializable(package="cervix_tf")
class FusedSGD(_OneOperationAWeight, keras.optimizers.SGD):
    """Gradient descent, with momentum or without, by TensorFlow's own operations.

    Source: Sutskever et al. 2013, eq. 1 and 2 (3 and 4 with `nesterov`), as Keras has them:
        v <- momentum v - rate gradient, weight <- weight + v.
    """

    def _state(self, at: int) -> tuple[keras.Variable, ...]:
        return (self.momentums[at],) if self.momentum else ()

    def _operation(self, learning_rate: tf.Tensor) -> Callable[..., None]:
        momentum = tf.constant(self.momentum, tf.float32)

        def update(weight: tf.Variable, gradient: tf.Tensor, *state: tf.Variable) -> None:
            dense = tf.convert_to_tensor(gradient)
            if not state:
                tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=learning_rate, delta=dense)
                return
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight.handle,
                accum=state[0].handle,
                lr=learning_rate,
                grad=dense,
                momentum=momentum,
                use_nesterov=self.nesterov,
            )

        return update
