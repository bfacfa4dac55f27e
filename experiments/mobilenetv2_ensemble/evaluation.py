"""What is measured of each row: predictions and metrics, or the time of a forward pass."""

from __future__ import annotations

import gc
import os
from typing import Any

import keras
import pandas as pd

import cervix_tf
from cervix_tf import atomic
from cervix_tf.data import pipeline
from cervix_tf.evaluate import margin, metrics, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.export import contract, serving
from cervix_tf.models import timing
from cervix_tf.models.mobilenet_v2 import mobilenet_v2
from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.train import fit
from experiments.mobilenetv2_ensemble import model, training
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS, POSITIVE, VIEWS, Config
from experiments.mobilenetv2_ensemble.data import Parts, described, inputs_of
from experiments.mobilenetv2_ensemble.rows import ROWS, Row
from experiments.mobilenetv2_ensemble.schedule import images_of


def place(out: RunDir, row: str) -> RunDir:
    """Where a row's predictions and metrics stand: the ensemble's, the main model, in the run's own folder."""
    return out if row == "ensemble" else out.row(row)


def measured(out: RunDir) -> dict[str, dict[str, Any]]:
    """The metrics.json of every row that is finished."""
    return {name: read_json(file) for name in ROWS if (file := place(out, name).metrics).exists()}


def measure(config: Config, row: Row, folds: list[Parts], out: RunDir) -> None:
    """Train a row's networks as far as that is not done, and write its predictions and metrics, pooled over folds.

    The ensemble of the first fold is kept as the run's model.
    """
    where = place(out, row.name)
    if row.stage == "time":
        write_json(where.metrics, forward_pass(config, row))
        return
    tested: list[Predictions] = []
    validated: list[Predictions] = []
    for fold, parts in enumerate(folds):
        prefix = f"fold-{fold}-" if len(folds) > 1 else ""
        if row.stage == "probe":
            tested.append(probe(config, row, parts))
            continue
        network = training.network(config, row, parts, out, prefix)
        images = images_of(config, row)
        for part, to in (("test", tested), ("validation", validated)):
            inputs = inputs_of(parts[part], row.images)
            answers = fit.probabilities(network, pipeline.evaluation(inputs, images))
            to.append(predictions.of_rows(inputs.rows, answers, CLASSES))
        if row.name == "ensemble" and fold == 0:
            keep_model(config, network, out)
        del network
        keras.backend.clear_session()  # or every network of the study would stay in memory
        gc.collect()
    pooled = joined(tested)
    predictions.write(pooled, where.predictions)
    # Thresholds need a part that is neither trained nor tested on: as published there is none, and in a
    # cross-validation every case is tested on in some fold.
    chosen = None
    if validated and config.protocol == "leak_free" and len(folds) == 1:
        chosen = validated[0]
        predictions.write(chosen, where.validation_predictions)
    found = metrics.summary(
        pooled,
        positive=POSITIVE,
        validation=chosen,
        seed=config.seed,
        data=described(config),
        synthetic=bool(config.synthetic_visits),
        stand_in=config.layout != "cervigram_visits",
    )
    write_json(where.metrics, found | {"margin": margin.summary(pooled, positive=POSITIVE, seed=config.seed)})


def forward_pass(config: Config, row: Row) -> dict[str, Any]:
    """The time of one forward pass of the published network, in milliseconds. Source: Table 7."""
    usual = model.published(config)
    if row.backbone:
        network = model.baseline(usual, row.backbone)
    elif row.needs:
        trunks = model.stacked(usual, {kind: model.trunk(usual, kind) for kind in KINDS})
        network = model.ensemble(trunks, model.fusion(usual, trunks.output_shape[1:]))
    else:
        network = model.single_view(usual, "acetic")
    found = timing.milliseconds(network, config.timed_passes)
    return {
        "milliseconds": {
            "value": found.median,
            "low": found.low,
            "high": found.high,
            "n": config.timed_passes,
            "method": f"median and 5th to 95th percentile of passes, one input each, {os.cpu_count()} logical CPUs",
        },
        "parameters": network.count_params(),
    }


def probe(config: Config, row: Row, parts: Parts) -> Predictions:
    """Test predictions of a logistic regression on the untouched features of the first weights: what training adds to.

    Pooled 1280-wide features of the images of one kind of view, standardised on the training part.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = mobilenet_v2(
        config.images.height, config.images.width, alpha=config.network.alpha, weights=config.weights
    )
    training_inputs, test = inputs_of(parts["train"], row.images), inputs_of(parts["test"], row.images)
    features, seen = (
        network.predict(pipeline.evaluation(part, config.images), verbose=0).mean(axis=(1, 2))
        for part in (training_inputs, test)
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    classifier.fit(features, training_inputs.labels)
    return predictions.of_rows(test.rows, classifier.predict_proba(seen), CLASSES)


def joined(folds: list[Predictions]) -> Predictions:
    """The predictions of all folds as one."""
    return Predictions(pd.concat([fold.table for fold in folds], ignore_index=True), CLASSES)


def keep_model(config: Config, network: keras.Model, out: RunDir) -> None:
    """Write the ensemble as the model that users load: uint8 images of any size in, probabilities out."""
    if out.model.exists():
        return
    terms = contract.Contract(
        task="mobilenetv2_ensemble",
        classes=CLASSES,
        positive=POSITIVE,
        views=VIEWS,
        height=config.images.height,
        width=config.images.width,
        native_height=480,
        native_width=640,
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); the weights carry the terms of the images they were trained on",
        intended_use="Research on colposcopy image classification. Not a medical device.",
        data=described(config),
        synthetic=bool(config.synthetic_visits),
        stand_in=config.layout != "cervigram_visits",
    )
    terms.write(out.contract)
    with atomic.replacing(out.model) as part:
        serving.serving_model(network, terms).save(part)
