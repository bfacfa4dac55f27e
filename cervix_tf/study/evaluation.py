"""What is measured of every row in the same way: predictions, pooled over folds, metrics, a probe, and cost."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow.python.framework import ops

from cervix_tf import tuning
from cervix_tf.config import Images
from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.metrics import classification, embeddings, predictions
from cervix_tf.metrics.embeddings import Embeddings
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.models import timing
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study.data import DataDescription
from cervix_tf.training import fit


def predict(network: keras.Model, inputs: Inputs, images: Images) -> Predictions:
    """What a network of logits says of every input."""
    probabilities = fit.probabilities(network, pipeline.evaluation(inputs, images))
    return predictions.from_rows(inputs.rows, probabilities, inputs.classes)


def predict_mirrored(network: keras.Model, inputs: Inputs, images: Images) -> Predictions:
    """Test-time augmentation: the mean over each single image, its two mirror images and the image turned by 180°."""

    def probabilities(axes: list[int]) -> np.ndarray:
        batches = pipeline.evaluation(inputs, images)
        return fit.probabilities(network, batches.map(lambda pixels, labels: (tf.reverse(pixels, axes), labels)))

    mean = np.mean([probabilities(axes) for axes in ([], [-3], [-2], [-3, -2])], axis=0)
    return predictions.from_rows(inputs.rows, mean, inputs.classes)


def pooled(folds: Sequence[Predictions]) -> Predictions:
    """The predictions of all folds as one."""
    return Predictions(pd.concat([fold.table for fold in folds], ignore_index=True), folds[0].classes)


def write(
    result: RunDir,
    test: Predictions,
    validation: Predictions | None,
    data: DataDescription,
    seed: int,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write predictions and, last, the metrics of the test split, which are given back; `more` is added to them.

    Thresholds are chosen on `validation`, which must be neither trained nor tested on; a cross-validation,
    which tests every input, has none.
    """
    predictions.write(test, result.predictions)
    if validation is not None:
        predictions.write(validation, result.validation_predictions)
    metrics = classification.summary(
        test,
        positive=data.positive,
        validation=validation,
        seed=seed,
        data=data.text,
        synthetic=data.synthetic,
        stand_in=data.stand_in,
    )
    metrics |= more or {}
    write_json(result.metrics, metrics)
    return metrics


def evaluate(
    network: keras.Model,
    inputs: Mapping[str, Inputs],
    images: Images,
    result: RunDir,
    data: DataDescription,
    seed: int,
) -> dict[str, Any]:
    """`write` what a network says of the split test and, where there is one, of validation; gives back the metrics."""
    said = {name: predict(network, inputs[name], images) for name in ("test", "validation") if name in inputs}
    return write(result, said["test"], said.get("validation"), data, seed)


def features(network: keras.Model, inputs: Inputs, images: Images) -> np.ndarray:
    """What a network without a head makes of every input, (inputs, ...)."""
    return fit.outputs(network, pipeline.evaluation(inputs, images), f"features of {len(inputs)} inputs")


def embed(network: keras.Model, inputs: Mapping[str, Inputs], images: Images) -> Embeddings:
    """The same of every split, by its name, and what is known of the inputs."""
    rows = pd.concat([each.rows.assign(split=name) for name, each in inputs.items()], ignore_index=True)
    values = np.concatenate([features(network, each, images) for each in inputs.values()])
    return Embeddings(rows[list(embeddings.COLUMNS)], values, next(iter(inputs.values())).classes)


def probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What a logistic regression on frozen features says of the test features: what training adds to.

    (inputs, features) each, standardized on the training features -> (test inputs, classes).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    with tuning.one_thread():
        return classifier.fit(train, labels).predict_proba(test)


def forward_pass(network: keras.Model, passes: int) -> dict[str, Any]:
    """Milliseconds of one input through a network, and its parameters; see `cervix_tf.models.timing`."""
    found = timing.milliseconds(network, passes)
    return {
        "milliseconds": {
            "value": found.median,
            "low": found.low,
            "high": found.high,
            "n": passes,
            "method": f"median and 5th to 95th percentile of passes, one input each, {tuning.threads()} threads",
        },
        "parameters": network.count_params(),
    }


def release() -> None:
    """Let go of the networks that nothing refers to any more, or every one of the study would stay in memory.

    TensorFlow never forgets a gradient of `tf.custom_gradient`, which holds all graphs of the network that it was
    traced in; no graph that is traced already asks for it again.
    """
    keras.backend.clear_session()
    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
    gc.collect()
