"""Training the network of a row, or loading it where that is done already."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.run_dir import RunDir
from cervix_tf.seeds import seed_of
from cervix_tf.study import training as study_training
from cervix_tf.training import devices, fit
from experiments._template import model
from experiments._template.config import Config


def train(config: Config, row: str, inputs: Mapping[str, Inputs], out: RunDir) -> keras.Model:
    """The row's network at its best epoch on the validation split; `out` is the folder of this training.

    Source: TODO: section.
    """
    optimizer, seed = config.optimizer, seed_of(config.seed, row)
    with study_training.building(config.devices, seed):
        network = model.network(config, row)
        network.compile(
            optimizer=fit.adam(optimizer),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            jit_compile=devices.jit_compile(),
        )

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.training(
            inputs["train"], config.images, config.augmentation, seed=seed, epochs=optimizer.epochs, first_epoch=first
        )

    study_training.train(
        network,
        batches,
        lambda: pipeline.evaluation(inputs["validation"], config.images),
        inputs=len(inputs["train"]),
        epochs=optimizer.epochs,
        steps_per_epoch=pipeline.steps(inputs["train"], config.images),
        criterion="val_loss",
        out=out,
    )
    return network
