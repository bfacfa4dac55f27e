"""What the configuration says of each row: image size, epochs, learning rate, loss and which epoch is kept."""

from __future__ import annotations

import dataclasses

from cervix_tf.config import Images, Optimiser
from experiments.mobilenetv2_ensemble.config import Config
from experiments.mobilenetv2_ensemble.rows import ALL_TYPES, PLAIN, Loss, Row


def images_of(config: Config, row: Row) -> Images:
    """Size and batching of what a row's network takes."""
    if row.stage == "fine_tuning":
        return dataclasses.replace(config.images, batch_size=config.fine_tuning.batch_size)
    return config.baselines.images if row.backbone else config.images


def optimiser_of(config: Config, row: Row) -> Optimiser:
    """How a row is trained: as its images are, at the learning rate of its loss, longer where that is not plain."""
    if row.stage == "fine_tuning":
        tuning = config.fine_tuning
        return dataclasses.replace(config.ensemble, epochs=tuning.epochs, learning_rate=tuning.learning_rate)
    if row.stage == "ensemble":
        usual = config.ensemble
    elif row.backbone:
        usual = config.baselines.optimiser
    else:
        usual = config.all_types if row.images == ALL_TYPES else getattr(config, row.images)
    if row.loss == PLAIN:
        return usual
    imbalance = config.imbalance
    rate = imbalance.weighted_learning_rate if row.loss.weighted else imbalance.focal_learning_rate
    return dataclasses.replace(usual, epochs=max(1, round(imbalance.longer * usual.epochs)), learning_rate=rate)


def criterion_of(config: Config, row: Row) -> str:
    """What a row's kept checkpoint is best in."""
    return config.criterion if row.loss == PLAIN else config.imbalance.criterion


def loss_of(config: Config, row: Row) -> Loss:
    """The row's loss, with phi as the configuration has it where the paper leaves a choice."""
    if row.loss.phi and row.backbone in ("resnet18", "vgg19"):
        return Loss(phi=getattr(config.imbalance, f"{row.backbone}_phi"))
    return row.loss
