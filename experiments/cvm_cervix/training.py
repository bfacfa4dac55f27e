"""Training one network of one fold, or loading it where that is done already."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.config import Augmentation
from cervix_tf.data.inputs import Inputs, joined
from cervix_tf.layers import in_float32
from cervix_tf.metrics import embeddings, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.study.data import Splits
from cervix_tf.study.rows import trainings
from cervix_tf.training import devices, fit
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import model
from experiments.cvm_cervix.config import Config, Row
from experiments.cvm_cervix.data import described, inputs_of

COPIES = ((False, False), (True, True), (True, False), (False, True))
"""Whether each copy is mirrored left to right and upside down; both is a turn by 180 degrees. Source: sec. 4.7.2."""


def train(config: Config, row: Row, splits: Splits, out: RunDir) -> keras.Model:
    """The row's network with its best weights, in float32; `out` is the folder of this training.

    Source: sec. 4.2; the same for all rows (sec. 4.7.1).
    """
    inputs = {name: inputs_of(splits[name], config) for name in ("train", "validation")}
    augmentation: Augmentation | list[Augmentation] = config.augmentation
    if row.four_times:
        inputs["train"], augmentation = four_times(inputs["train"], config.augmentation)
    seed, optimizer = seed_of(config.seed, out.root.name), replace(config.optimizer, epochs=study.epochs(config, row))
    with study_training.building(config.devices, seed), devices.precision(config.precision):
        network = model.network(config, row.network)
        network.compile(
            optimizer=fit.adam(optimizer),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
            jit_compile=devices.jit_compile(),
            run_eagerly=config.eager,
        )

    def one_hot(batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(lambda pixels, labels: (pixels, tf.one_hot(labels, len(inputs["train"].classes))))

    study_training.train_on_images(
        network,
        inputs,
        config.images,
        augmentation,
        optimizer,
        seed=seed,
        prepared=one_hot,
        criterion=config.criterion,
        out=out,
        cosine=config.cosine,
        tensorboard=config.tensorboard,
    )
    return in_float32(network)


def evaluate_row(config: Config, row: Row, folds: list[Splits], out: RunDir) -> None:
    """Train the row's networks as far as that is not done; write predictions and metrics, pooled over the folds.

    Of the main row also what only it has: features of the first fold's test images, cost, and the predictions of
    test-time augmentation and of weights of 16 bits.
    """
    result, about = study.result_dir(config, out, row), described(config)
    if row == study.PROBE:
        evaluation.write(result, evaluation.pooled(probe(config, folds)), None, about, config.seed)
        return
    predicted, validation = defaultdict(list), None
    for splits, name in zip(folds, trainings(row.name, config.folds), strict=True):
        network = train(config, row, splits, out.row(name))
        test = inputs_of(splits["test"], config)
        predicted["test"].append(evaluation.predict(network, test, config.images))
        if len(folds) == 1:
            validation = evaluation.predict(network, inputs_of(splits["validation"], config), config.images)
        if row == study.main_row(config):
            if splits is folds[0]:
                _measure(config, network, test, out)
            if config.test_time_augmentation:
                predicted[study.FLIPS].append(evaluation.predict_mirrored(network, test, config.images))
            model.round_to_16_bits(network)
            predicted[study.SIXTEEN_BITS].append(evaluation.predict(network, test, config.images))
        del network
        evaluation.release()
    test_predictions = evaluation.pooled(predicted.pop("test"))
    for suffix, of_folds in predicted.items():
        evaluation.write(out.row(row.name + suffix), evaluation.pooled(of_folds), None, about, config.seed)
    evaluation.write(result, test_predictions, validation, about, config.seed)  # last: now the row is finished


def _measure(config: Config, network: keras.Model, test: Inputs, out: RunDir) -> None:
    """Write the features of the test images, and what the network costs. It has predicted them: so it is traced."""
    embeddings.write(evaluation.embed(model.features(network), {"test": test}, config.images), out.embeddings)
    cost = evaluation.forward_pass(network, config.timed_passes)
    started = time.perf_counter()
    evaluation.predict(network, test, config.images)
    tested = {"seconds": time.perf_counter() - started, "images": len(test)}
    write_json(out.cost, {**cost, "tested": tested, "mebibytes": model.mebibytes(network)})


def four_times(inputs: Inputs, augmentation: Augmentation) -> tuple[Inputs, list[Augmentation]]:
    """Every input as it is, turned by 180 degrees, and mirrored either way; and the random augmentation of each copy.

    A mirrored copy whose random mirroring has probability p is mirrored with probability 1 - p in all.

    Source: sec. 4.7.2, Fig. 7 and Table 4; the random flip of sec. 3.1 comes on top.
    """

    def of(copy: tuple[bool, bool]) -> Augmentation:
        chances = (augmentation.horizontal_flip, augmentation.vertical_flip)
        across, down = [1 - p if mirrored else p for p, mirrored in zip(chances, copy, strict=True)]
        return replace(augmentation, horizontal_flip=across, vertical_flip=down)

    return joined([inputs] * len(COPIES)), [of(copy) for copy in COPIES for _ in range(len(inputs))]


def probe(config: Config, folds: list[Splits]) -> list[Predictions]:
    """Test predictions of each fold by a logistic regression on the features of the main row's initial weights.

    Those of the first fold, so that the features of all images are computed once.
    """
    seed = seed_of(config.seed, trainings(study.main_row(config).name, config.folds)[0])
    with study_training.building(config.devices, seed):
        untrained = model.features(model.network(config, config.main))
    everything = {name: inputs_of(split, config) for name, split in folds[0].items()}
    embedded = evaluation.embed(untrained, everything, config.images)
    seen = dict(zip(embedded.table["id"], embedded.values, strict=True))
    predicted = []
    for splits in folds:
        train, test = (inputs_of(splits[name], config) for name in ("train", "test"))
        of_train, of_test = (np.stack([seen[name] for name in inputs.rows["id"]]) for inputs in (train, test))
        probabilities = evaluation.probe(of_train, train.labels, of_test)
        predicted.append(predictions.from_rows(test.rows, probabilities, test.classes))
    return predicted
