"""Adam with one operation a weight."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="cervix_tf")
class FusedAdam(keras.optimizers.Adam):
    """Adam, or AdamW with `weight_decay`, that updates each weight by TensorFlow's own `ResourceApplyAdam`.

    The same update, settings and state as Keras' Adam. Keras writes it as some 18 small
    operations for each weight: a network of 500 weights spends most of its tracing on them,
    and each reads and writes memory of its own.

    Raises `ValueError` for `amsgrad`, which the operation does not have.

    Source: Kingma and Ba 2015, sec. 2, last paragraph; Loshchilov and Hutter 2019, algorithm 2, for the decay.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.amsgrad:
            raise ValueError("FusedAdam has no amsgrad; use keras.optimizers.Adam")

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        if self.weight_decay is None:
            return
        decayed = [variable.value for variable in variables if self._use_weight_decay(variable)]
        kept = 1 - tf.cast(self.learning_rate, tf.float32) * self.weight_decay

        def decay(strategy: tf.distribute.Strategy) -> None:
            for variable in decayed:
                strategy.extended.update(variable, lambda part: part.assign(part * kept), group=False)

        tf.__internal__.distribute.interim.maybe_merge_call(decay, self._distribution_strategy)

    def _distributed_tf_update_step(
        self, distribution: tf.distribute.Strategy, grads_and_vars: list[tuple], learning_rate: tf.Tensor
    ) -> None:
        step = tf.cast(self.iterations + 1, tf.float32)
        shared = {
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "lr": tf.cast(learning_rate, tf.float32),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }

        def update(weight: tf.Variable, gradient: tf.Tensor, first: tf.Variable, second: tf.Variable) -> None:
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=first.handle, v=second.handle, grad=tf.convert_to_tensor(gradient), **shared
            )

        for gradient, weight in grads_and_vars:
            at = self._get_variable_index(weight)
            moments = self._momentums[at].value, self._velocities[at].value
            distribution.extended.update(weight, update, args=(gradient, *moments), group=False)
