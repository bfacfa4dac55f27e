"""What is the same whenever a row's network is trained: one traced network, callbacks, and the line that says how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from cervix_tf import history_file
from cervix_tf.config import AdamConfig, Augmentation, Images, SGDConfig
from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.errors import InputError
from cervix_tf.layers import in_float32
from cervix_tf.run_dir import RunDir
from cervix_tf.training import devices, fit
from cervix_tf.wording import amount


@contextlib.contextmanager
def building(device_names: str, seed: int) -> Iterator[None]:
    """Build a network inside this: on the chosen devices, from weights that depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    with devices.strategy(device_names).scope():
        yield


def compile_classifier(network: keras.Model, optimizer: AdamConfig | SGDConfig) -> None:
    """Compile a network of logits, (batch, classes), for cross entropy with class indices; its metric is accuracy."""
    network.compile(
        optimizer=fit.optimizer(optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        jit_compile=devices.jit_compile(),
    )


@dataclass(frozen=True)
class ReusableNetwork:
    """A compiled network that one training after the other uses: to trace it again takes as long as some epochs."""

    trained: keras.Model
    """Compiled, in the precision of the run."""
    tested: keras.Model
    """In float32; the same one where the run trains in that."""
    initial: list[np.ndarray]
    """Every variable as the network was built."""

    def start(self, learning_rate: float, values: Sequence[Any] = ()) -> keras.Model:
        """The compiled network with its initial variables (or `values`) and a new optimizer."""
        for variable, value in zip(self.trained.variables, values or self.initial, strict=True):
            variable.assign(value)
        for variable in self.trained.optimizer.variables:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
        self.trained.optimizer.learning_rate = learning_rate
        return self.trained

    def result(self) -> keras.Model:
        """The network as it was last trained, in float32."""
        if self.tested is not self.trained:
            self.tested.set_weights(self.trained.get_weights())
        return self.tested


def reusable(compiled: keras.Model) -> ReusableNetwork:
    """`compiled`, ready for one training after the other."""
    return ReusableNetwork(compiled, in_float32(compiled), [fit.value(variable) for variable in compiled.variables])


def train(
    network: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: Callable[[], tf.data.Dataset] | None,
    *,
    inputs: int,
    epochs: int,
    steps_per_epoch: int,
    criterion: str,
    out: RunDir,
    cosine_from: float = 0.0,
    tensorboard: bool = False,
    also_by: Sequence[str] = (),
    patience: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Train a compiled network in the folder `out`, leave it with its best weights, and say so on one line.

    See `cervix_tf.training.fit.fit`, which a finished training costs nothing. `inputs` is how many the epoch
    draws from. With `cosine_from` the learning rate falls from that along a cosine.
    """
    done = _epochs_done(out)
    every = [*callbacks]
    if tensorboard:
        every.append(fit.tensorboard(out))
    if cosine_from:
        every.append(fit.cosine(cosine_from, epochs))
    history = fit.fit(
        network,
        batches,
        validation() if validation is not None and done < epochs else None,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        criterion=criterion,
        also_by=also_by,
        patience=patience,
        out=out,
        callbacks=every,
    )
    if done < len(history):
        best = history.iloc[fit.best_epoch(history, criterion) - 1]
        print(
            f"{out.root.name}: {amount(inputs, 'training input')}, {amount(len(history), 'epoch')}, "
            f"{history['seconds'].sum():.0f} s; kept epoch {best['epoch']:.0f} ({criterion} {best[criterion]:.3f})",
            flush=True,
        )
    return history


def train_on_images(
    network: keras.Model,
    inputs: Mapping[str, Inputs],
    images: Images,
    augmentation: Augmentation | Sequence[Augmentation],
    optimizer: AdamConfig | SGDConfig,
    *,
    seed: int,
    cosine: bool = False,
    keep_rest: bool = False,
    prepared: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda batches: batches,
    **how: Any,
) -> pd.DataFrame:
    """`train` on the image files of `inputs`: its split train, and validation where there is one.

    With `keep_rest` an epoch ends with a smaller batch where inputs are left. `prepared` makes of the pipeline's
    batches, (pixels, labels), what the loss takes; `how` are arguments of `train`.
    """
    train_inputs, held_out = inputs["train"], inputs.get("validation")
    epochs = optimizer.epochs

    def batches(first: int) -> tf.data.Dataset:
        return prepared(
            pipeline.training(
                train_inputs, images, augmentation, seed=seed, epochs=epochs, first_epoch=first, keep_rest=keep_rest
            )
        )

    return train(
        network,
        batches,
        None if held_out is None else lambda: prepared(pipeline.evaluation(held_out, images)),
        inputs=len(train_inputs),
        epochs=epochs,
        steps_per_epoch=pipeline.steps(train_inputs, images, keep_rest),
        cosine_from=optimizer.learning_rate if cosine else 0.0,
        **how,
    )


def _epochs_done(out: RunDir) -> int:
    """How many epochs the history counts; 0 also where it is damaged, which `fit` names."""
    try:
        return len(history_file.read(out.history))
    except InputError:
        return 0
