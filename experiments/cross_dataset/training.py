"""Training the network of one data set, or loading it where that is done already, and testing it on every one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from cervix_tf import progress
from cervix_tf.data import pipeline
from cervix_tf.data.inputs import from_images
from cervix_tf.data.manifest import Manifest
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data as study_data
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.study.training import ReusableNetwork
from cervix_tf.training import devices, fit
from experiments.cross_dataset import data, distance, model, normalization
from experiments.cross_dataset.config import SOURCE, Config, Row, local_dir, result_dir
from experiments.cross_dataset.data import Parts


@dataclass(frozen=True)
class Networks:
    """What all rows share; each network is built when it is first asked for."""

    classifier: Callable[[int], ReusableNetwork]
    """By its number of classes."""
    embedding: Callable[[], keras.Model]


def networks(config: Config) -> Networks:
    """The compiled networks that rows train from the same weights, and the one that domains are compared by."""

    @functools.cache
    def classifier(classes: int) -> ReusableNetwork:
        with study_training.building(config.devices, config.seed):
            with devices.precision(config.precision):
                untrained = model.classifier(config, classes)
            study_training.compile_classifier(untrained, config.optimizer)
            return study_training.reusable(untrained)

    @functools.cache
    def embedding() -> keras.Model:
        with study_training.building(config.devices, config.seed):
            return model.embedding(config)

    return Networks(classifier, embedding)


def prepared(config: Config, row: Row, parts: Parts) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """What becomes of the batches of a row: nothing, or the colors of its training images."""
    if row.variant != "reinhard":
        return lambda batches: batches
    batches = pipeline.evaluation(from_images(parts[row.data_set]["train"], row.task.classes), config.images)
    with progress.stage(f"{row.name}: colors of the training images"):
        return functools.partial(normalization.of_batches, to=normalization.reference(batches))


def initial_values(config: Config, row: Row, parts: Parts, shared: Networks, out: RunDir) -> list[np.ndarray]:
    """What the row's network starts from: its initial weights, below its own head those that MobileODT's types gave."""
    initial = shared.classifier(len(row.task.classes)).initial
    if row.variant != SOURCE:
        return initial
    learned = [fit.value(variable) for variable in train(config, Row(SOURCE), parts, shared, out).variables]
    return [new if new.shape == old.shape else old for new, old in zip(learned, initial, strict=True)]


def train(config: Config, row: Row, parts: Parts, shared: Networks, out: RunDir) -> keras.Model:
    """The row's network at its best epoch on its validation split, in float32; `parts` are those of `data.split`."""
    optimizer = config.optimizer
    network, classes = shared.classifier(len(row.task.classes)), row.task.classes
    own = data.of_row(config, row, parts)
    values = initial_values(config, row, parts, shared, out)
    study_training.train_on_images(
        network.start(optimizer.learning_rate, values),
        {name: from_images(part, classes) for name, part in own[row.data_set].items()},
        config.images,
        config.augmentation,
        optimizer,
        seed=config.seed,
        criterion="val_loss",
        out=out.row(row.name),
        cosine=config.cosine,
        prepared=prepared(config, row, own),
    )
    return network.result()


def evaluate_row(config: Config, row: Row, parts: Parts, shared: Networks, out: RunDir) -> None:
    """Train the row's network as far as that is not done; write what it says of each data set, its own last.

    Thresholds of all results are those of its own validation split.
    """
    network = train(config, row, parts, shared, out)
    parts, classes = data.of_row(config, row, parts), row.task.classes
    changed = prepared(config, row, parts)

    def said(part: Manifest) -> Predictions:
        inputs = from_images(part, classes)
        probabilities = fit.probabilities(network, changed(pipeline.evaluation(inputs, config.images)))
        return of_cases(predictions.from_rows(inputs.rows, probabilities, classes))

    own = parts[row.data_set]
    validation = said(own["validation"])
    count = data.distance_images(config, parts)

    def embedded(part: Manifest) -> np.ndarray:
        inputs = from_images(data.drawn(part, count, config.seed), classes)
        with progress.stage(f"features of {len(inputs)} inputs"), pipeline.readable_errors():
            return shared.embedding().predict(changed(pipeline.evaluation(inputs, config.images)), verbose=0)

    known = embedded(own["train"])
    for name in sorted(parts, key=lambda name: name == row.data_set):
        test, result = parts[name]["test"], result_dir(config, out, row, name)
        study_data.keep_manifest(own if name == row.data_set else {"test": test}, result)
        if name != row.data_set:
            predictions.write(said(data.local_pool(parts[name], own)), local_dir(out, row, name).predictions)
        apart = {
            "value": distance.frechet(known, embedded(test)),
            "low": None,
            "high": None,
            "n": 2 * count,
            "method": f"Fréchet distance of {config.network} features, {count} images each; no interval: resampling "
            "would add to it",
        }
        about = data.described(config, row, name)
        evaluation.write(result, said(test), validation, about, config.seed, {"distance": apart})


def of_cases(found: Predictions) -> Predictions:
    """A row a woman where images name one (the mean over her photographs), else a row an image."""
    return predictions.aggregate(found, "case") if (found.table["case"] != "").any() else found
