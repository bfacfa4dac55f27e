"""Training the networks: the baseline as a classifier, the others by metric learning."""

from __future__ import annotations

import contextlib
import functools
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping

import keras
import tensorflow as tf

from cervix_tf.config import Augmentation
from cervix_tf.data import pipeline, samplers
from cervix_tf.data.inputs import Inputs
from cervix_tf.evaluate import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.train import batch_statistics, devices, fit
from cervix_tf.train.global_batch import GlobalBatch
from experiments.metric_learning import measures, model, rows
from experiments.metric_learning.config import Config, Momentum
from experiments.metric_learning.rows import Row

Build = Callable[[str], keras.Model]
"""Name of a network -> its embedding network with the first weights."""


def builder(config: Config, training: Inputs) -> Build:
    """What gives each embedding network with its first weights, building it once.

    A network is built and traced for every row otherwise, which takes longer than a row of
    the demo trains.
    """

    @functools.cache
    def built(name: str) -> tuple[keras.Model, list]:
        with started(config, _seed(config, name)):
            network = model.embedding(config, name)
        if config.weights == "random":
            # Without them its embeddings differ by less than they are rounded: nothing could be read from them.
            batch_statistics.measure(network, pipeline.evaluation(training, config.images))
        return network, network.get_weights()

    def fresh(name: str) -> keras.Model:
        network, weights = built(name)
        network.set_weights(weights)
        return network

    return fresh


@contextlib.contextmanager
def started(config: Config, seed: int) -> Iterator[None]:
    """Build a network inside this: on the chosen devices, from weights that depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    with devices.strategy(config.devices).scope():
        yield


def trained(config: Config, row: Row, inputs: Mapping[str, Inputs], build: Build, out: RunDir) -> keras.Model:
    """The row's embedding network with its best weights; a finished training is not repeated.

    Source: sec. IV-B; baselines: sec. IV-C.
    """
    network = build(row.network)
    if row.method == "fine_tuned":
        fine_tune(config, row, network, inputs, out)
    elif row.method != "pretrained":
        learn(config, row, network, inputs, out.row(row.name))
    return network


def fine_tune(config: Config, row: Row, network: keras.Model, inputs: Mapping[str, Inputs], out: RunDir) -> None:
    """Train the network as a classifier, and keep what it says of val2 and the hold-out part itself."""
    where, seed = out.row(row.name), _seed(config, row.name)
    with started(config, seed):
        classifier = model.classifier(network, len(inputs["train"].classes))
        cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        compile_for_training(classifier, config.fine_tuning, cross_entropy, [accuracy])
    fit_to(
        config,
        classifier,
        lambda first: pipeline.training(
            inputs["train"],
            config.images,
            config.augmentation,
            seed=seed,
            epochs=config.fine_tuning.epochs,
            first_epoch=first,
        ),
        pipeline.evaluation(inputs["val1"], config.images),
        pipeline.steps(inputs["train"], config.images),
        config.fine_tuning,
        where,
    )
    own = out.row(rows.classifier(row.network))
    if own.predictions.exists():
        return
    for part, path in (("val2", own.validation_predictions), ("test", own.predictions)):
        said = fit.probabilities(classifier, pipeline.evaluation(inputs[part], config.images))
        predictions.write(predictions.of_rows(inputs[part].rows, said, inputs[part].classes), path)
    measures.summarise(config, own, predictions.read(own.predictions), predictions.read(own.validation_predictions))


def learn(config: Config, row: Row, network: keras.Model, inputs: Mapping[str, Inputs], out: RunDir) -> None:
    """Train the network by metric learning: batches of the loss's own kind, checkpoints by its value on val1."""
    seed, optimiser = _seed(config, row.name), config.optimiser(row.method)
    with started(config, seed):
        learner = keras.Model(network.input, network.output, name="learner")
        compile_for_training(learner, optimiser, GlobalBatch(model.loss(config, row.method)), [])
    draw, steps = sampler(config, row.method, inputs["train"], config.batches.same_group)
    held_out, _ = sampler(config, row.method, inputs["val1"], True, rounds=2)
    fit_to(
        config,
        learner,
        lambda first: pipeline.sampled(
            inputs["train"],
            config.images,
            config.augmentation,
            draw,
            seed=seed,
            epochs=optimiser.epochs,
            first_epoch=first,
        ),
        pipeline.sampled(inputs["val1"], config.images, Augmentation(), held_out, seed=seed, epochs=1),
        steps,
        optimiser,
        out,
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


def compile_for_training(network: keras.Model, optimiser: Momentum, loss: keras.losses.Loss, metrics: list) -> None:
    """Stochastic gradient descent with momentum (sec. IV-B)."""
    sgd = fit.sgd(optimiser.learning_rate, optimiser.momentum, optimiser.weight_decay)
    network.compile(optimizer=sgd, loss=loss, metrics=metrics, jit_compile=devices.jit_compile())


def fit_to(
    config: Config,
    network: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    held_out: tf.data.Dataset,
    steps: int,
    optimiser: Momentum,
    out: RunDir,
) -> None:
    """Train a compiled network as the configuration says, and print what came of it on one line."""
    callbacks = [fit.tensorboard(out)] if config.tensorboard else []
    if optimiser.cosine:
        callbacks.append(fit.cosine(optimiser.learning_rate, optimiser.epochs))
    history = fit.fit(
        network,
        batches,
        held_out,
        epochs=optimiser.epochs,
        steps_per_epoch=steps,
        criterion="val_loss",
        out=out,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 0,
    )
    best = history.iloc[fit.best_epoch(history, "val_loss") - 1]
    print(
        f"{out.root.name}: {len(history)} epochs of {steps} batches, {history['seconds'].sum():.0f} s; "
        f"kept epoch {best['epoch']:.0f} (loss on val1 {best['val_loss']:.3f})",
        flush=True,
    )


def _seed(config: Config, name: str) -> int:
    """Of one network or row: it depends on the run's seed and the name, not on what was trained before."""
    return (config.seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31
