"""Training the network of one protocol, or loading it where that is done already."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from cervix_tf.config import Protocol
from cervix_tf.data.inputs import from_images
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data, evaluation
from cervix_tf.study import training as study_training
from cervix_tf.study.data import Splits
from cervix_tf.study.training import ReusableNetwork
from cervix_tf.training import devices
from experiments.resnet50_types import model
from experiments.resnet50_types.config import CLASSES, PUBLISHED_EPOCH, Config, result_dir
from experiments.resnet50_types.data import described


def network(config: Config) -> Callable[[], ReusableNetwork]:
    """What gives the compiled network that both protocols train, built when it is first asked for. Source: sec. 4.1."""

    @functools.cache
    def built() -> ReusableNetwork:
        with study_training.building(config.devices, config.seed):
            with devices.precision(config.precision):
                untrained = model.classifier(config)
            study_training.compile_classifier(untrained, config.optimizer)
            return study_training.reusable(untrained)

    return built


def train(
    config: Config, protocol: Protocol, parts: Splits, network: Callable[[], ReusableNetwork], out: RunDir
) -> keras.Model:
    """The protocol's network at the epoch that its criterion keeps, in float32; `out` is the folder of this training.

    Source: sec. 4.1.
    """
    optimizer, criterion = config.optimizer, config.criterion(protocol)
    study_training.train_on_images(
        network().start(optimizer.learning_rate),
        {name: from_images(part, CLASSES) for name, part in parts.items()},
        config.images,
        config.augmentation,
        optimizer,
        seed=config.seed,
        criterion=criterion,
        out=out,
        cosine=optimizer.cosine,
        tensorboard=config.tensorboard,
        callbacks=[PublishedEpoch(config.published_epoch)] if criterion == PUBLISHED_EPOCH else [],
    )
    return network().result()


def evaluate_row(
    config: Config, protocol: Protocol, parts: Splits, network: Callable[[], ReusableNetwork], out: RunDir
) -> None:
    """Train the protocol's network as far as that is not done; write its predictions and, last, its metrics."""
    result = result_dir(config, out, protocol)
    data.keep_manifest(parts, result)
    trained = train(config, protocol, parts, network, out.row(protocol))
    tested = {name: from_images(part, CLASSES) for name, part in parts.items() if name != "train"}
    evaluation.evaluate(trained, tested, config.images, result, described(config, protocol), config.seed)


class PublishedEpoch(keras.callbacks.Callback):
    """Marks in the history the epoch that the paper keeps, so that a training can keep it, too, and go on."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write 1 into the epoch's measurements if it is the one, else 0."""
        if logs is not None:
            logs[PUBLISHED_EPOCH] = float(epoch + 1 == self.epoch)
