"""Training one network: Keras' fit, the best weights by a criterion, and a state to go on from after a kill."""

from __future__ import annotations

import functools
import importlib.util
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import pandas as pd
import scipy.special
import tensorflow as tf

from cervix_tf import progress
from cervix_tf.config import AdamConfig, SGDConfig
from cervix_tf.data import pipeline
from cervix_tf.errors import InputError
from cervix_tf.models import weights
from cervix_tf.run_dir import RunDir
from cervix_tf.training import backend, devices
from cervix_tf.training.epoch_states import EpochStates
from cervix_tf.training.finite import FiniteLoss
from cervix_tf.training.fused_optimizers import FusedAdam, FusedSGD


def adam(config: AdamConfig) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where `config.weight_decay` is set."""
    kind = FusedAdam if backend.is_tensorflow() else keras.optimizers.Adam
    return kind(
        learning_rate=config.learning_rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay or None,
    )


def sgd(config: SGDConfig) -> keras.optimizers.Optimizer:
    """Stochastic gradient descent, with momentum and weight decay where these are not 0."""
    kind = FusedSGD if backend.is_tensorflow() else keras.optimizers.SGD
    return kind(config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay or None)


def optimizer(config: AdamConfig | SGDConfig) -> keras.optimizers.Optimizer:
    """The optimizer that a configuration describes."""
    return sgd(config) if isinstance(config, SGDConfig) else adam(config)


def cosine(learning_rate: float, epochs: int) -> keras.callbacks.Callback:
    """A callback that lets the learning rate fall along a cosine, from the whole one in the first epoch to almost none.

    Source: Loshchilov and Hutter 2017, eq. 5, without restarts.
    """

    def rate(epoch: int, before: float) -> float:
        return learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2

    return keras.callbacks.LearningRateScheduler(rate)


def tensorboard(out: RunDir) -> keras.callbacks.Callback:
    """A callback that writes TensorBoard logs into the run.

    Raises `InputError` when TensorBoard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard: TensorBoard is not installed; `make venv` in the checkout installs it")
    return keras.callbacks.TensorBoard(out.tensorboard)


def fit(
    network: keras.Model,
    training: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset | None,
    *,
    epochs: int,
    steps_per_epoch: int,
    criterion: str,
    out: RunDir,
    also_by: Sequence[str] = (),
    patience: int = 0,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> pd.DataFrame:
    """Train the compiled `network`, leave it with its best weights, and return the history, one row per epoch.

    `training(k)` gives the batches of epochs k, k + 1, ... as one dataset. The best epoch
    is the first with the highest `criterion` (lowest for a loss), e.g. `val_accuracy`.

    Everything is in `out`: history.csv, `checkpoints/best.weights.h5` and the state
    after the last whole epoch. Called again after a kill it goes on from that state and
    ends with the weights that an uninterrupted run has; called on a finished run it
    loads the best weights and trains nothing. For each further criterion in `also_by` the
    weights of its own best epoch are kept too, at `out.best_weights_by(criterion)`. With
    `patience` training also ends after so many epochs that did not improve on the best.

    With several workers each of them calls this with a run directory of its own.

    Compile the metrics as objects, not by name: Keras makes a named metric's variables while it
    traces the first step, and a function that made variables is traced a second time.

    Raises `InputError` for less than one epoch, when a loss is no longer finite (see `FiniteLoss`), when another worker
    stops, and when the workers' run directories are not those of the same epoch.
    """
    if epochs < 1:
        raise InputError(f"{out.root}: {epochs} epochs; ask for at least 1")
    keeper = _Keeper(out, criterion, also_by, epochs, patience)
    with devices.scope(network):
        done = keeper.restore(network)
    if not devices.agreed(done):
        raise InputError(
            f"{out.root}: holds {done} epochs, but another worker's run has a different number; "
            "copy one worker's run directory over the others'"
        )
    if not keeper.finished:
        batches = training(done)
        finite = FiniteLoss(batches, validation, first=done, steps_per_epoch=steps_per_epoch, out=out)
        if devices.worker() is not None:
            _repair(network, batches)
        left = (epochs - done) * steps_per_epoch
        with (
            progress.stage(f"{out.root.name}: training", left, "steps") as stage,
            devices.lost_workers(),
            pipeline.readable_errors(),
        ):
            network.fit(
                batches,
                validation_data=validation,
                initial_epoch=done,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                shuffle=False,  # the pipeline does that
                callbacks=[*(callbacks or []), finite, keeper, _Progress(stage, epochs)],
                verbose=0,
            )
    try:
        network.load_weights(out.best_weights)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{out.best_weights}: does not fit this network ({first}); "
            f"copy the run again as a whole, or remove {out.root} to train this network again"
        ) from error
    return keeper.history


def _repair(network: keras.Model, batches: tf.data.Dataset) -> None:
    """Make Keras' fit work with several workers, in two places where Keras 3.15 does not.

    It would reduce a pair of images and labels over the workers to make the variables of
    loss and metrics: they are made here, from a batch of this worker. And it averages what
    a step reports over an axis, which scalars do not have.
    """
    with devices.scope(network):
        network._symbolic_build(data_batch=next(iter(batches)))
    network._maybe_symbolic_build = lambda **_: None
    for name in ("train_step", "test_step"):
        setattr(network, name, _as_vectors(getattr(network, name)))


def _as_vectors(step: Callable) -> Callable:
    return lambda data: {name: tf.reshape(value, (1,)) for name, value in step(data).items()}


class _Keeper(keras.callbacks.Callback):
    """Decides after each epoch what is best and whether to go on, and has it written down (see `EpochStates`)."""

    def __init__(self, out: RunDir, criterion: str, also_by: Sequence[str], epochs: int, patience: int) -> None:
        super().__init__()
        self.out, self.criterion, self.epochs, self.patience = out, criterion, epochs, patience
        self.weights = {name: out.best_weights_by(name) for name in also_by} | {criterion: out.best_weights}
        self.states = EpochStates(out, self.weights)
        self.history = pd.DataFrame()

    @property
    def finished(self) -> bool:
        """Whether the history has all its epochs, or enough that did not improve."""
        done = len(self.history)
        return done >= self.epochs or stalled(self.history, self.criterion, self.patience)

    def restore(self, network: keras.Model) -> int:
        """Load the newest whole state into `network`; the number of epochs it has been trained for."""
        network.optimizer.build(network.trainable_variables)  # so that a state finds where to go
        restored = self.states.restore()
        if restored is None:
            return 0
        self.history, done = restored.history, len(restored.history)
        if restored.arrays is None:
            if not (self.finished and self.out.best_weights.exists()):
                raise InputError(
                    f"{self.states.state(done)}: is missing although {self.out.history.name} counts {done} epochs; "
                    f"remove {self.out.root} to train this network again"
                )
            return done
        variables, arrays = _variables(network), list(restored.arrays.values())
        if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
            raise InputError(
                f"{self.states.state(done)}: belongs to another network; remove {self.out.root} to train this one again"
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return done

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        for criterion in self.weights:
            if criterion not in values:
                raise InputError(f"criterion {criterion!r} is not measured; there are {', '.join(sorted(values))}")
        row = {
            "epoch": epoch + 1,
            "seconds": round(time.monotonic() - self.started, 3),
            "learning_rate": float(value(self.model.optimizer.learning_rate)),
            **values,
        }
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        for criterion in self.weights:
            if best_epoch(self.history, criterion) == len(self.history):
                self.states.keep_best(criterion, epoch + 1, functools.partial(weights.save, self.model))
        if self.finished:
            self.states.finish(self.history)
            self.model.stop_training = True
        else:
            arrays = {f"variable-{at}": value(each) for at, each in enumerate(_variables(self.model))}
            self.states.keep(self.history, arrays)


class _Progress(keras.callbacks.Callback):
    """Tells how far the training is."""

    async_safe = True

    def __init__(self, stage: progress.Stage, epochs: int) -> None:
        super().__init__()
        self.stage, self.epochs = stage, epochs

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.stage.advance()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = ", ".join(f"{name} {float(value):.3f}" for name, value in (logs or {}).items() if "loss" in name)
        took = progress.duration(time.monotonic() - self.started)
        self.stage.say(f"epoch {epoch + 1} of {self.epochs}, {took}, {values}")


def _variables(network: keras.Model) -> list[keras.Variable]:
    """Everything that training changes: weights, statistics, random layers' counters, the optimizer's state."""
    return [*network.variables, *network.optimizer.variables]


def value(variable: keras.Variable) -> np.ndarray:
    """The variable's value; a mirrored one's on its first device."""
    held = variable.value
    return held.numpy() if backend.is_tensorflow() else keras.ops.convert_to_numpy(held)


def best_epoch(history: pd.DataFrame, criterion: str) -> int:
    """The 1-based epoch whose weights were kept: the first with the best criterion."""
    values = history[criterion].to_numpy(float) * (-1 if criterion.endswith("loss") else 1)
    return int(np.where(np.isnan(values), -np.inf, values).argmax()) + 1  # no number, as a rate of nothing, comes last


def stalled(history: pd.DataFrame, criterion: str, patience: int) -> bool:
    """Whether the last `patience` epochs did not improve on the best before them; never with 0."""
    return 0 < patience <= len(history) and len(history) - best_epoch(history, criterion) >= patience


def probabilities(network: keras.Model, batches: tf.data.Dataset) -> np.ndarray:
    """Softmax of the network's logits for every input of an evaluation pipeline, float64, (inputs, classes)."""
    return scipy.special.softmax(outputs(network, batches, "predicting").astype("float64"), axis=-1)


def outputs(network: keras.Model, batches: tf.data.Dataset, what: str) -> np.ndarray:
    """What the network gives for every input of an evaluation pipeline, (inputs, ...); `what` names the stage."""
    known = max(int(batches.cardinality()), 0)
    with progress.stage(what, known, "batches") as stage, pipeline.readable_errors():
        counting = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: stage.advance())
        return network.predict(batches, verbose=0, callbacks=[counting])
