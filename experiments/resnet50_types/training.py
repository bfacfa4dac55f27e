"""Training the network of one protocol, or loading it where that is done already."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from cervix_tf.config import Protocol
from cervix_tf.data import pipeline
from cervix_tf.run_dir import RunDir
from cervix_tf.study import training as study_training
from cervix_tf.study.data import Splits
from cervix_tf.study.training import ReusableNetwork
from cervix_tf.training import devices, fit
from experiments.resnet50_types import model
from experiments.resnet50_types.config import PUBLISHED_EPOCH, Config
from experiments.resnet50_types.data import inputs_of


def network(config: Config) -> Callable[[], ReusableNetwork]:
    """What gives the compiled network that both protocols train, built when it is first asked for. Source: sec. 4.1."""

    @functools.cache
    def built() -> ReusableNetwork:
        with study_training.building(config.devices, config.seed):
            with devices.precision(config.precision):
                untrained = model.classifier(config)
            untrained.compile(
                optimizer=fit.sgd(config.optimizer),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
                jit_compile=devices.jit_compile(),
            )
            return study_training.reusable(untrained)

    return built


def train(
    config: Config, protocol: Protocol, parts: Splits, network: Callable[[], ReusableNetwork], out: RunDir
) -> keras.Model:
    """The protocol's network at the epoch that its criterion keeps, in float32; `out` is the folder of this training.

    Source: sec. 4.1.
    """
    train, optimizer = inputs_of(parts["train"]), config.optimizer

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.training(
            train, config.images, config.augmentation, seed=config.seed, epochs=optimizer.epochs, first_epoch=first
        )

    def validation() -> tf.data.Dataset:
        return pipeline.evaluation(inputs_of(parts["validation"]), config.images)

    criterion = config.criterion(protocol)
    study_training.train(
        network().start(optimizer.learning_rate),
        batches,
        validation if "validation" in parts else None,
        inputs=len(train),
        epochs=optimizer.epochs,
        steps_per_epoch=pipeline.steps(train, config.images),
        criterion=criterion,
        out=out,
        cosine_from=optimizer.learning_rate if optimizer.cosine else 0.0,
        tensorboard=config.tensorboard,
        callbacks=[PublishedEpoch(config.published_epoch)] if criterion == PUBLISHED_EPOCH else [],
    )
    return network().result()


class PublishedEpoch(keras.callbacks.Callback):
    """Marks in the history the epoch that the paper keeps, so that a training can keep it, too, and go on."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write 1 into the epoch's measurements if it is the one, else 0."""
        if logs is not None:
            logs[PUBLISHED_EPOCH] = float(epoch + 1 == self.epoch)
