"""Training the network of a row, or loading it where that is done already."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from cervix_tf.data.inputs import Inputs
from cervix_tf.run_dir import RunDir
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from experiments._template import model
from experiments._template.config import Config, result_dir
from experiments._template.data import described


def train(config: Config, row: str, inputs: Mapping[str, Inputs], out: RunDir) -> keras.Model:
    """The row's network at its best epoch on the validation split; `out` is the folder of this training.

    Source: TODO: section.
    """
    optimizer, seed = config.optimizer, seed_of(config.seed, row)
    with study_training.building(config.devices, seed):
        network = model.network(config, row)
        study_training.compile_classifier(network, optimizer)
    study_training.train_on_images(
        network, inputs, config.images, config.augmentation, optimizer, seed=seed, criterion="val_loss", out=out
    )
    return network


def evaluate_row(config: Config, row: str, inputs: Mapping[str, Inputs], out: RunDir) -> None:
    """Train the row's network as far as that is not done; write its predictions and, last, its metrics."""
    network = train(config, row, inputs, out.row(row))
    evaluation.evaluate(network, inputs, config.images, result_dir(config, out, row), described(config), config.seed)
    evaluation.release()
