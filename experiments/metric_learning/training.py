"""Training the networks, the baseline as a classifier and the others by metric learning; what their embeddings give."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.config import Augmentation
from cervix_tf.data import pipeline, samplers
from cervix_tf.data.inputs import Inputs
from cervix_tf.errors import InputError
from cervix_tf.layers import in_float32
from cervix_tf.metrics import embeddings, neighbors, predictions, retrieval, strata
from cervix_tf.metrics.embeddings import Embeddings
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.training import batch_statistics, devices, fit
from cervix_tf.training.global_batch import GlobalBatch
from experiments.metric_learning import model
from experiments.metric_learning.config import METRIC_LEARNING, NEIGHBORS, Config, Row, every_row
from experiments.metric_learning.data import described

InitialNetwork = Callable[[str], keras.Model]
"""Name of a network -> its embedding network with its initial weights."""


class Result(NamedTuple):
    """What is finished of a row."""

    embeddings: Embeddings
    retrieval: dict[str, Any]
    """`k`, and the `retrieval.summary` of `val2` and `test`."""
    predictions: Predictions
    """Of the hold-out split."""


def initial_networks(config: Config, train: Inputs) -> InitialNetwork:
    """What gives each embedding network with its initial weights, building it once.

    A network is built and traced for every row otherwise, which takes longer than a row of
    the demo trains.
    """

    @functools.cache
    def built(name: str) -> tuple[keras.Model, list]:
        with study_training.building(config.devices, seed_of(config.seed, name)), devices.precision(config.precision):
            network = model.embedding(config, name)
        if config.weights == "random":
            # Without them its embeddings differ by less than they are rounded: nothing could be read from them.
            batch_statistics.measure(network, pipeline.evaluation(train, config.images))
        return network, network.get_weights()

    def initial(name: str) -> keras.Model:
        network, weights = built(name)
        network.set_weights(weights)
        return network

    return initial


def train(config: Config, row: Row, inputs: Mapping[str, Inputs], initial: InitialNetwork, out: RunDir) -> keras.Model:
    """The row's embedding network with its best weights, in float32; a finished training is not repeated.

    Source: sec. IV-B; baselines: sec. IV-C.
    """
    network = initial(row.network)
    learns = row.method in METRIC_LEARNING
    if row.method == "fine_tuned" or (learns and config.start == "fine_tuned"):
        fine_tune(config, Row(row.network, "fine_tuned"), network, inputs, out)
    if learns:
        learn(config, row, network, inputs, out.row(row.name))
    return in_float32(network)


def fine_tune(config: Config, row: Row, network: keras.Model, inputs: Mapping[str, Inputs], out: RunDir) -> None:
    """Train the network as a classifier, and write its own predictions of val2 and the hold-out split."""
    seed, optimizer = seed_of(config.seed, row.name), config.fine_tuning
    with study_training.building(config.devices, seed):
        classifier = model.classifier(network, len(inputs["train"].classes))
        study_training.compile_classifier(classifier, optimizer)
    study_training.train_on_images(
        classifier,
        {"train": inputs["train"], "validation": inputs["val1"]},
        config.images,
        config.augmentation,
        optimizer,
        seed=seed,
        cosine=optimizer.cosine,
        criterion="val_loss",
        out=out.row(row.name),
        tensorboard=config.tensorboard,
    )
    own = out.row(row.classifier)
    if not own.metrics.exists():
        trained = in_float32(classifier)
        test, val2 = (evaluation.predict(trained, inputs[part], config.images) for part in ("test", "val2"))
        _write(config, own, test, val2)


def learn(config: Config, row: Row, network: keras.Model, inputs: Mapping[str, Inputs], out: RunDir) -> None:
    """Train the network by metric learning: batches of the loss's own kind, checkpoints by its value on val1."""
    seed, optimizer = seed_of(config.seed, row.name), config.optimizer(row.method)
    classes = len(inputs["train"].classes)
    with study_training.building(config.devices, seed):
        learner = keras.Model(network.input, network.output, name="learner")
        learner.compile(
            optimizer=fit.sgd(optimizer),
            loss=GlobalBatch(model.loss(config, row.method, classes)),
            loss_weights=model.loss_weight(config, row.method, classes),
            jit_compile=devices.jit_compile(),
        )
    (draw, steps), (draw_val1, _) = samplers_of(config, row.method, inputs)

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.sampled(
            inputs["train"],
            config.images,
            config.augmentation,
            draw,
            seed=seed,
            epochs=optimizer.epochs,
            first_epoch=first,
        )

    def validation() -> tf.data.Dataset:
        return pipeline.sampled(inputs["val1"], config.images, Augmentation(), draw_val1, seed=seed, epochs=1)

    study_training.train(
        learner,
        batches,
        validation,
        inputs=len(inputs["train"]),
        epochs=optimizer.epochs,
        steps_per_epoch=steps,
        criterion="val_loss",
        out=out,
        cosine_from=optimizer.learning_rate if optimizer.cosine else 0.0,
        tensorboard=config.tensorboard,
    )


def check_batches(config: Config, rows: Sequence[Row], inputs: Mapping[str, Inputs]) -> None:
    """Raise `InputError` when the splits are too small for the batches of a row: before any row is trained."""
    for method in dict.fromkeys(row.method for row in rows if row.method in METRIC_LEARNING):
        for part, (draw, _) in zip(("train", "val1"), samplers_of(config, method, inputs), strict=True):
            try:
                draw(np.random.default_rng(config.seed))
            except InputError as error:
                raise InputError(f"{method}, split {part}: {error}") from None


def samplers_of(config: Config, method: str, inputs: Mapping[str, Inputs]) -> tuple[tuple[Callable, int], ...]:
    """What draws the batches of training and of val1, and how many an epoch has of either."""
    return (
        sampler(config, method, inputs["train"], config.batches.same_group),
        sampler(config, method, inputs["val1"], True, rounds=2),
    )


def sampler(config: Config, method: str, inputs: Inputs, same_group: bool, rounds: int = 1) -> tuple[Callable, int]:
    """What draws an epoch's batches for a loss, and how many: each image `rounds` times, on average.

    val1 may hold fewer women of a class than a batch has images: there `same_group` lets
    images of one woman meet.

    Source: sec. III-A to III-C.
    Departs: the paper does not say how many batches an epoch has.
    """
    classes, batches = len(inputs.classes), config.batches

    def count(images: int) -> int:
        return max(1, round(rounds * len(inputs) / images))

    if method == "contrastive":
        draw, steps = functools.partial(samplers.pairs, pairs=batches.pairs), count(2 * batches.pairs)
    elif method == "n_pair":
        draw = functools.partial(samplers.n_pairs, classes=classes, tuplets=batches.n_pairs)
        steps = count(2 * classes * batches.n_pairs)
    else:
        chosen = batches.classes or classes
        draw = functools.partial(samplers.p_by_s, classes=chosen, images=batches.images)
        steps = count(chosen * batches.images)
    return functools.partial(draw, inputs, batches=steps, same_group=same_group), steps


def evaluate_row(config: Config, row: Row, inputs: Mapping[str, Inputs], initial: InitialNetwork, out: RunDir) -> None:
    """Train the row's network as far as that is not done; write its embeddings and what is measured of them."""
    result = out.row(row.name)
    if not result.embeddings.exists():
        network = train(config, row, inputs, initial, out)
        embeddings.write(evaluation.embed(network, inputs, config.images), result.embeddings)
    embedded = embeddings.read(result.embeddings)
    found = evaluate_retrieval(config, embedded, result)
    classify(config, embedded, found["k"], result)


def finished(config: Config, out: RunDir) -> dict[Row, Result]:
    """What is finished of the run, by whichever command, in the order of the tables."""
    found = {row: out.row(row.name) for row in every_row(config).values()}
    return {
        row: Result(embeddings.read(each.embeddings), read_json(each.retrieval), predictions.read(each.predictions))
        for row, each in found.items()
        if each.embeddings.exists() and each.metrics.exists()
    }


def evaluate_retrieval(config: Config, embedded: Embeddings, out: RunDir) -> dict[str, Any]:
    """`k`, chosen on val2, and for `val2` and `test` how well the embeddings put classes apart; written too."""
    train = embedded.part("train")
    summaries = {
        part: retrieval.summary(train, embedded.part(part), NEIGHBORS, seed=config.seed) for part in ("val2", "test")
    }
    found = {"k": retrieval.choose_k(train, embedded.part("val2"), NEIGHBORS), **summaries}
    write_json(out.retrieval, found)
    return found


def best(results: Mapping[Row, Result]) -> Row:
    """The first row whose mean of the classes' accuracies on val2, with the K that is best there, is highest.

    Source: sec. V-B and the caption of Table 4.
    """

    def score(row: Row) -> float:
        found = results[row].retrieval
        return found["val2"]["mean_class_accuracy"][str(found["k"])]["value"]

    return max(results, key=score)


def classify(config: Config, embedded: Embeddings, k: int, result: RunDir) -> None:
    """Write the predictions of val2 and the hold-out split by K neighbors, and their metrics."""
    _write(config, result, classified(embedded, "test", k), classified(embedded, "val2", k))


def classified(embedded: Embeddings, part: str, k: int) -> Predictions:
    """What the K nearest training images say of each image of a split.

    Source: sec. III: "a K-Nearest Neighbor classifier is trained with the extracted deep features".
    """
    train, asked = embedded.part("train"), embedded.part(part)
    fitted = neighbors.fit(train.values, train.labels, embedded.classes, k)
    return predictions.from_rows(asked.table, fitted.probabilities(asked.values), embedded.classes)


def _write(config: Config, result: RunDir, test: Predictions, validation: Predictions) -> None:
    """Predictions and metrics, by age too where ages are known."""
    data = described(config)
    by_age = {}
    if test.table["age"].notna().any():
        by_age = {"age": strata.stratified(test, "age", positive=data.positive, seed=config.seed)}
    evaluation.write(result, test, validation, data, config.seed, {"strata": by_age} if by_age else None)
