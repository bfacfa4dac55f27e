"""Training the network of one protocol, or loading it where that is done already."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import pandas as pd
import tensorflow as tf

from cervix_tf.config import Protocol
from cervix_tf.data import pipeline
from cervix_tf.layers import in_float32
from cervix_tf.run_dir import RunDir
from cervix_tf.train import devices, fit
from experiments.resnet50_types import model
from experiments.resnet50_types.config import CRITERIA, Config
from experiments.resnet50_types.data import Parts, inputs_of


class Network(NamedTuple):
    """One network that both protocols train, one after the other: to trace a ResNet-50 takes as long as some epochs."""

    trained: keras.Model
    """Compiled, in the precision of the run."""
    tested: keras.Model
    """In float32; the same one where the run trains in that."""


def builder(config: Config) -> Callable[[], Network]:
    """What gives the network with its first weights, the same each time; built once, when first asked for."""

    @functools.cache
    def built() -> tuple[Network, list]:
        keras.utils.set_random_seed(config.seed)
        with devices.strategy(config.devices).scope():
            with devices.precision(config.precision):
                network = model.classifier(config)
            descent = config.descent
            network.compile(
                optimizer=fit.sgd(descent.learning_rate, descent.momentum, descent.weight_decay),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
                jit_compile=devices.jit_compile(),
            )
            tested = in_float32(network) if config.precision != "float32" else network
        return Network(network, tested), network.get_weights()

    def fresh() -> Network:
        network, weights = built()
        network.trained.set_weights(weights)
        for variable in network.trained.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        network.trained.optimizer.learning_rate = config.descent.learning_rate
        return network

    return fresh


def trained(config: Config, protocol: Protocol, parts: Parts, build: Callable[[], Network], out: RunDir) -> keras.Model:
    """The protocol's network at the epoch that its criterion keeps, in float32; `out` is the folder of this training.

    Source: sec. 4.1.
    """
    training, validation = inputs_of(parts["train"]), parts.get("validation")
    network, criterion, descent = build(), CRITERIA[protocol], config.descent

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.training(
            training, config.images, config.augmentation, seed=config.seed, epochs=descent.epochs, first_epoch=first
        )

    before = len(pd.read_csv(out.history)) if out.history.exists() else 0
    callbacks: list[keras.callbacks.Callback] = [fit.tensorboard(out)] if config.tensorboard else []
    if descent.cosine:
        callbacks.append(fit.cosine(descent.learning_rate, descent.epochs))
    history = fit.fit(
        network.trained,
        batches,
        None if validation is None else pipeline.evaluation(inputs_of(validation), config.images),
        epochs=descent.epochs,
        steps_per_epoch=pipeline.steps(training, config.images),
        criterion=criterion,
        out=out,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 0,
    )
    if before < len(history):
        best = history.iloc[fit.best_epoch(history, criterion) - 1]
        print(
            f"{protocol}: {len(training)} training images, {len(history)} epochs, {history['seconds'].sum():.0f} s; "
            f"kept epoch {best['epoch']:.0f} ({criterion} {best[criterion]:.3f})",
            flush=True,
        )
    network.tested.set_weights(network.trained.get_weights())
    return network.tested
