"""What is measured of each row: predictions and metrics over the folds; of the main row also weights and time."""

from __future__ import annotations

import gc
import os
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.evaluate import embeddings, metrics, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.models import timing
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.train import fit
from experiments.cvm_cervix import model, training
from experiments.cvm_cervix.config import READINGS, Config
from experiments.cvm_cervix.data import Parts, described, inputs_of
from experiments.cvm_cervix.rows import PROBE, Row, main, place, prefix

SIXTEEN_BITS, FLIPS = "-float16", "-flips"
"""End the names of the main row's folders of further predictions."""


def measure(config: Config, row: Row, folds: list[Parts], out: RunDir) -> None:
    """Train the row's networks as far as that is not done; write predictions and metrics, pooled over the folds.

    Of the main row the predictions with 16-bit weights and, if asked for, of mirrored images
    are written too, the first fold's features, and its weights' size and its time.
    """
    where, chief = place(config, out, row), row == main(config)
    if where.metrics.exists():
        return
    if row == PROBE:
        write(config, joined(probe(config, folds)), None, where)
        return
    said: dict[str, list[Predictions]] = {"test": [], "validation": [], SIXTEEN_BITS: [], FLIPS: []}
    for fold, parts in enumerate(folds):
        network = training.trained(config, row, parts, out.row(prefix(config, fold) + row.name))
        for part in ("test", "validation"):
            inputs = inputs_of(parts[part], config)
            answers = fit.probabilities(network, pipeline.evaluation(inputs, config.images))
            said[part].append(predictions.of_rows(inputs.rows, answers, inputs.classes))
        tested = inputs_of(parts["test"], config)
        if chief and config.test_flips:
            said[FLIPS].append(predictions.of_rows(tested.rows, mirrored(config, network, tested), tested.classes))
        if chief and not fold:
            keep_features(config, network, parts, out)
            write_json(out.cost, cost(config, network))
        if chief:
            halve(network)
            values = fit.probabilities(network, pipeline.evaluation(tested, config.images))
            said[SIXTEEN_BITS].append(predictions.of_rows(tested.rows, values, tested.classes))
        del network
        keras.backend.clear_session()  # or every network of the study would stay in memory
        gc.collect()
    for name in (SIXTEEN_BITS, FLIPS):
        if said[name]:
            write(config, joined(said[name]), None, out.row(row.name + name))
    # Thresholds need a part that is neither trained nor tested on: in a cross-validation every image is tested on.
    write(config, joined(said["test"]), said["validation"][0] if len(folds) == 1 else None, where)


def write(config: Config, said: Predictions, validation: Predictions | None, out: RunDir) -> None:
    """Write predictions and, last, their metrics."""
    predictions.write(said, out.predictions)
    if validation is not None:
        predictions.write(validation, out.validation_predictions)
    found = metrics.summary(
        said,
        positive=READINGS[config.task].positive,
        validation=validation,
        seed=config.seed,
        data=described(config),
        synthetic=bool(config.synthetic_cells),
    )
    write_json(out.metrics, found)


def joined(parts: list[Predictions]) -> Predictions:
    """The predictions of all folds."""
    return Predictions(pd.concat([part.table for part in parts], ignore_index=True), parts[0].classes)


def mirrored(config: Config, network: keras.Model, inputs: Inputs) -> np.ndarray:
    """Mean probabilities of each image, its two mirror images and the image turned by 180 degrees.

    Departs: the paper tests each image once.
    """

    def flipped(axes: list[int]) -> np.ndarray:
        batches = pipeline.evaluation(inputs, config.images)
        return fit.probabilities(network, batches.map(lambda pixels, labels: (tf.reverse(pixels, axes), labels)))

    return np.mean([flipped(axes) for axes in ([], [1], [2], [1, 2])], axis=0)


def probe(config: Config, folds: list[Parts]) -> list[Predictions]:
    """Test predictions of each fold by a logistic regression on the features of the main row's first weights.

    Features are standardised on the training part. They do not depend on the fold, so they are computed once.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    everything = [inputs_of(part, config) for part in folds[0].values()]
    network = model.features(model.network(config, config.main, len(everything[0].classes)))
    frozen = keras.Model(network.input, network.output[0])
    seen: dict[str, np.ndarray] = {}
    for inputs in everything:
        with pipeline.readable_errors():
            values = frozen.predict(pipeline.evaluation(inputs, config.images), verbose=0)
        seen |= dict(zip(inputs.rows["id"], values, strict=True))
    said = []
    for parts in folds:
        train, tested = (inputs_of(parts[name], config) for name in ("train", "test"))
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        classifier.fit(np.stack([seen[name] for name in train.rows["id"]]), train.labels)
        found = classifier.predict_proba(np.stack([seen[name] for name in tested.rows["id"]]))
        said.append(predictions.of_rows(tested.rows, found, tested.classes))
    return said


def halve(network: keras.Model) -> None:
    """Round the network's weights to 16 bits. Source: sec. 4.6."""
    network.set_weights([weight.astype(np.float16).astype(np.float32) for weight in network.get_weights()])


def keep_features(config: Config, network: keras.Model, parts: Parts, out: RunDir) -> None:
    """Write the features that the head reads, of the first fold's test images. Source: sec. 5.1."""
    inputs = inputs_of(parts["test"], config)
    with pipeline.readable_errors():
        values, _ = model.features(network).predict(pipeline.evaluation(inputs, config.images), verbose=0)
    table = inputs.rows.assign(split="test")[list(embeddings.COLUMNS)]
    embeddings.write(embeddings.Embeddings(table, values, inputs.classes), out.embeddings)


def cost(config: Config, network: keras.Model) -> dict[str, Any]:
    """The weights' size and the time of a forward pass. Source: sec. 4.5 and 4.6."""
    found = timing.milliseconds(network, config.timed_passes)
    return {
        "parameters": network.count_params(),
        "mebibytes": {bits: model.mebibytes(network, bits) for bits in (32, 16)},
        "milliseconds": {
            "value": found.median,
            "low": found.low,
            "high": found.high,
            "n": config.timed_passes,
            "method": f"median and 5th to 95th percentile of passes, one image each, {os.cpu_count()} logical CPUs",
        },
    }
