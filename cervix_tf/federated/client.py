"""One client's part of a round: global weights in, local training, an update out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Update, Weights
from cervix_tf.federated.policy import Policy
from cervix_tf.federated.screening import problem
from cervix_tf.seeds import seed_of
from cervix_tf.training import backend, batch_statistics, devices, fit


@dataclass
class Client:
    """A site and its data, which stay where they are, and what it keeps from round to round."""

    name: str
    batches: Callable[[int], tf.data.Dataset]
    """batches(k): training batches of epochs k, k + 1, ... as `data.pipeline` gives them; the pipeline's seed is the
    client's own, `seed_of(seed, name)`."""
    steps: int
    """Batches an epoch."""
    examples: int
    """Training images."""
    kept: Weights = field(default_factory=list)
    """Moving statistics and optimizer state, as the policy wants them kept; empty before the first round."""
    held_out: tf.data.Dataset | None = None
    """Batches of validation images, the same each time, for `Trainer.loss`."""


class Trainer:
    """A compiled network in which the clients of a process train one after the other.

    It is built, traced and held in memory once, however many clients and rounds there are.

    Args:
        network: Compiled, and built inside its tf.distribute strategy where it has one.
        policy: What the federation agreed on.
        seed: Of the federation.
    """

    def __init__(self, network: keras.Model, policy: Policy, seed: int) -> None:
        self.network, self.policy, self.seed = network, policy, seed
        with devices.scope(network):
            network.optimizer.build(network.trainable_variables)
            # Of a new one, since this one may have trained already.
            anew = keras.optimizers.deserialize(keras.optimizers.serialize(network.optimizer))
            anew.build(network.trainable_variables)
        self._initial_optimizer: list[np.ndarray | tf.Tensor] = list(_values(anew.variables))
        if backend.is_tensorflow():  # tensors, since arrays would be copied each time
            self._initial_optimizer = [tf.convert_to_tensor(value) for value in self._initial_optimizer]
        normalizations = batch_statistics.normalizations(network)
        variances = {id(layer.moving_variance) for layer in normalizations}
        statistics = variances | {id(layer.moving_mean) for layer in normalizations}
        self.statistics = [at for at, variable in enumerate(network.weights) if id(variable) in statistics]
        """Positions of the moving statistics among the weights."""
        self.variances = [at for at, variable in enumerate(network.weights) if id(variable) in variances]
        """Those of the moving variances."""
        weights = {id(variable) for variable in network.weights}
        self._random = [variable for variable in network.variables if id(variable) not in weights]

    @property
    def weights(self) -> Weights:
        """The network's present weights."""
        return _values(self.network.weights)

    def train(self, client: Client, weights: Sequence[np.ndarray], round: int) -> Update:
        """Train E epochs on the client's data from `weights`, and say what came of it.

        Rounds count from 0: round r trains the client's epochs r E to (r + 1) E - 1, whose
        batches are those of centralized training. Random layers draw from (seed, client,
        round), so the update is a function of the arguments and what the client kept. What
        it keeps changes only when all weights of the update are finite.

        Raises `InputError` when an image cannot be read, `ValueError` for weights of another network.
        """
        if len(weights) != len(self.network.weights):
            raise ValueError(f"{len(weights)} arrays for a network with {len(self.network.weights)} weights")
        own, optimizer = self._split(client.kept)
        _assign(self.network.weights, self.localized(client, weights))
        _assign(self.network.optimizer.variables, optimizer or self._initial_optimizer)
        for at, variable in enumerate(self._random):
            variable.assign(np.array([seed_of(self.seed, client.name, round, at), 0], variable.dtype))
        first, started = round * self.policy.local_epochs, time.monotonic()
        with pipeline.readable_errors():
            history = self.network.fit(
                client.batches(first),
                initial_epoch=first,
                epochs=first + self.policy.local_epochs,
                steps_per_epoch=client.steps,
                shuffle=False,  # the pipeline does that
                verbose=0,
            ).history
        seconds, trained = time.monotonic() - started, self.weights
        local, persistent = self.policy.batch_norm == "local", self.policy.optimizer == "persist"
        if (local or persistent) and not problem(trained, trained):
            own = [trained[at] for at in self.statistics] if local else []
            client.kept = [*own, *(_values(self.network.optimizer.variables) if persistent else [])]
        if local:
            for at in self.statistics:
                trained[at] = np.asarray(weights[at])  # goes back as it came
        losses = tuple(float(loss) for loss in history["loss"])
        return Update(client.name, trained, client.examples, losses, seconds)

    def recalibrate(self, client: Client, weights: Sequence[np.ndarray]) -> Update:
        """The same weights, with moving statistics measured on one epoch of the client's batches."""
        started = time.monotonic()
        self.network.set_weights(list(weights))
        with pipeline.readable_errors():
            batch_statistics.measure(self.network, client.batches(0).take(client.steps))
        return Update(client.name, self.weights, client.examples, (), time.monotonic() - started)

    def loss(self, client: Client, weights: Sequence[np.ndarray]) -> float:
        """The loss of `weights`, as this client uses them, on its validation images.

        Raises `InputError` when it has none.
        """
        if client.held_out is None:
            raise InputError(f"site {client.name}: has no validation images to measure common weights with")
        _assign(self.network.weights, self.localized(client, weights))
        with pipeline.readable_errors():
            return float(self.network.evaluate(client.held_out, verbose=0, return_dict=True)["loss"])

    def localized(self, client: Client, weights: Sequence[np.ndarray]) -> Weights:
        """The network as this client uses it: `weights`, with its own moving statistics where it keeps them."""
        own, _ = self._split(client.kept)
        own_weights = list(weights)
        for at, values in zip(self.statistics, own, strict=bool(own)):
            own_weights[at] = values
        return own_weights

    def _split(self, kept: Weights) -> tuple[Weights, Weights]:
        """What a client kept: moving statistics, optimizer state."""
        count = len(self.statistics) if kept and self.policy.batch_norm == "local" else 0
        return kept[:count], kept[count:]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray | tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        if backend.is_tensorflow():
            variable.value.assign(value, read_value=False)  # TensorFlow's own: Keras' reads back what it wrote
        else:
            variable.assign(value)


def _values(variables: Sequence[keras.Variable]) -> Weights:
    """Copies of the variables' values; of a mirrored one on its first device."""
    return [fit.value(variable) for variable in variables]
