"""Training one network of one fold, or loading it where that is done already."""

from __future__ import annotations

import sys
import zlib
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from cervix_tf.config import Augmentation
from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.layers import in_float32
from cervix_tf.run_dir import RunDir
from cervix_tf.train import devices, fit
from experiments.cvm_cervix import model, rows
from experiments.cvm_cervix.config import Config
from experiments.cvm_cervix.data import Parts, inputs_of
from experiments.cvm_cervix.rows import Row

COPIES = ((False, False), (True, True), (True, False), (False, True))
"""Whether a copy is mirrored left to right and upside down: the image, turned by 180 degrees, and either mirror image.

Source: sec. 4.7.2.
"""


def trained(config: Config, row: Row, parts: Parts, out: RunDir) -> keras.Model:
    """The row's network with its best weights, in float32; `out` is the folder of this training.

    Source: sec. 4.2; the same for all rows (sec. 4.7.1).
    """
    training, validation = inputs_of(parts["train"], config), inputs_of(parts["validation"], config)
    seed, classes, epochs = _seed(config, out), len(training.classes), rows.epochs(config, row)
    keras.utils.set_random_seed(seed)
    with devices.strategy(config.devices).scope(), devices.precision(config.precision):
        network = model.network(config, row.network, classes)
        network.compile(
            optimizer=fit.adam(config.optimiser),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
            jit_compile=devices.jit_compile(),
            run_eagerly=config.eager,
        )
    inputs, augmentation = four_times(training, config.augmentation) if row.four_times else (training, None)

    def batches(first: int) -> tf.data.Dataset:
        drawn = pipeline.training(
            inputs,
            config.images,
            augmentation or config.augmentation,
            seed=seed,
            epochs=epochs,
            first_epoch=first,
        )
        return _one_hot(drawn, classes)

    before = len(pd.read_csv(out.history)) if out.history.exists() else 0
    callbacks: list[keras.callbacks.Callback] = [fit.tensorboard(out)] if config.tensorboard else []
    if config.cosine:
        callbacks.append(fit.cosine(config.optimiser.learning_rate, epochs))
    history = fit.fit(
        network,
        batches,
        _one_hot(pipeline.evaluation(validation, config.images), classes),
        epochs=epochs,
        steps_per_epoch=pipeline.steps(inputs, config.images),
        criterion=config.criterion,
        out=out,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 0,
    )
    if before < len(history):
        best = history.iloc[fit.best_epoch(history, config.criterion) - 1]
        print(
            f"{out.root.name}: {len(inputs)} training images, {len(history)} epochs, {history['seconds'].sum():.0f} s; "
            f"kept epoch {best['epoch']:.0f} (validation accuracy {best['val_accuracy']:.3f}, n = {len(validation)})",
            flush=True,
        )
    return in_float32(network) if config.precision != "float32" else network


def four_times(inputs: Inputs, augmentation: Augmentation) -> tuple[Inputs, list[Augmentation]]:
    """Every input as it is, turned by 180 degrees, and mirrored either way; and the random augmentation of each copy.

    A mirrored copy whose random mirroring has probability p is mirrored with probability 1 - p in all.

    Source: sec. 4.7.2, Fig. 7 and Table 4; the random flip of sec. 3.1 comes on top.
    """

    def of(copy: tuple[bool, bool]) -> Augmentation:
        chances = (augmentation.horizontal_flip, augmentation.vertical_flip)
        across, down = [1 - p if mirrored else p for p, mirrored in zip(chances, copy, strict=True)]
        return replace(augmentation, horizontal_flip=across, vertical_flip=down)

    count = len(COPIES)
    rows = pd.concat([inputs.rows] * count, ignore_index=True)
    copied = replace(inputs, files=inputs.files * count, labels=np.tile(inputs.labels, count), rows=rows)
    return copied, [of(copy) for copy in COPIES for _ in range(len(inputs))]


def _one_hot(batches: tf.data.Dataset, classes: int) -> tf.data.Dataset:
    return batches.map(lambda pixels, labels: (pixels, tf.one_hot(labels, classes)))


def _seed(config: Config, out: RunDir) -> int:
    """Of one training: it depends on the run's seed and the row's name, not on what was trained before."""
    return (config.seed * 1_000_003 + zlib.crc32(out.root.name.encode())) % 2**31
