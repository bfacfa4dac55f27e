"""First weights: random, ImageNet's, SimCLR's alone and federated; and their features, frozen and kept."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from cervix_tf.data import inputs, pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.federated import partition, simulation
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.layers import in_float32
from cervix_tf.losses.nt_xent import NTXent
from cervix_tf.metrics import embeddings, predictions
from cervix_tf.metrics.embeddings import Embeddings
from cervix_tf.run_dir import RunDir
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.study.data import Splits
from cervix_tf.training import batch_statistics, devices, fit
from cervix_tf.training.global_batch import GlobalBatch
from experiments.label_efficiency import data, model, probes
from experiments.label_efficiency.config import PROBES, SHEETS, TRAINED, Config, Row, result_dir


def evaluate_row(config: Config, row: Row, parts: Splits, out: RunDir) -> None:
    """Measure the row's features with every draw and share of labels; what is done is not done again."""
    found = frozen(config, row, parts, out.row(row.name))
    test = found.part("test")
    for draw in row.draws(config):
        for share, part in data.labeled(parts["train"], config, draw).items():
            known = found.of(part.rows["path"])
            for probe in PROBES:
                result = result_dir(out, row, draw, probe, share)
                if not result.predictions.exists():
                    shares = probes.probabilities(config, probe, known, test.values, draw)
                    predictions.write(predictions.from_rows(test.table, shares, test.classes), result.predictions)
    print(f"{row.name}: measured with {', '.join(map(str, config.shares))} % of the labels", flush=True)


def frozen(config: Config, row: Row, parts: Splits, out: RunDir) -> Embeddings:
    """The features of the labeled images by the row's network, made once and kept in `out`."""
    if not out.embeddings.exists():
        classes = SHEETS[row.data_set].classes
        labeled = {name: inputs.from_images(part, classes) for name, part in parts.items()}
        found = evaluation.embed(network(config, row, parts["train"], out), labeled, config.images)
        embeddings.write(found, out.embeddings)
        evaluation.release()
    return embeddings.read(out.embeddings)


def network(config: Config, row: Row, train: Manifest, out: RunDir) -> keras.Model:
    """The row's encoder in float32, trained first, without labels, where it says so; `out` keeps that training."""
    seed = seed_of(config.seed, row.name)
    if row.initialization not in TRAINED:
        with study_training.building(config.devices, seed):
            encoder = model.encoder(config, "random" if row.initialization == "random" else config.weights)
        if row.initialization == "random":
            # Without these the features of any two images differ by less than they are rounded.
            batch_statistics.measure(encoder, pipeline.evaluation(inputs.from_every_image(train), config.images))
        return encoder
    with study_training.building(config.devices, seed), devices.precision(config.precision):
        encoder = model.encoder(config, config.weights if config.start == "imagenet" else "random")
        learner = model.learner(config, encoder)
        learner.compile(
            optimizer=fit.optimizer(config.optimizer),
            loss=GlobalBatch(NTXent(config.temperature)),
            jit_compile=devices.jit_compile(),
        )
    learn = together if row.initialization == "simclr" else federated
    learn(config, learner, train, seed, out)
    return in_float32(encoder)


def together(config: Config, learner: keras.Model, train: Manifest, seed: int, out: RunDir) -> None:
    """SimCLR on all training images in one place; the epoch with the least loss is kept."""
    images = inputs.from_every_image(train)
    study_training.train(
        learner,
        views(config, images, seed),
        None,
        inputs=len(images),
        epochs=config.optimizer.epochs,
        steps_per_epoch=pipeline.steps(images, config.images),
        criterion="loss",
        out=out,
    )


def federated(config: Config, learner: keras.Model, train: Manifest, seed: int, out: RunDir) -> None:
    """SimCLR at several sites whose images stay there: local epochs, averaged weights, as many rounds as epochs."""
    clients = []
    for name, part in partition.by_group(train, config.sites, seed).items():
        images = inputs.from_every_image(part)
        batches = views(config, images, seed_of(seed, name))
        clients.append(Client(name, batches, pipeline.steps(images, config.images), len(images)))
    trainer = Trainer(learner, config.policy, seed)
    learner.set_weights(simulation.run([trainer], clients, learner.get_weights(), out))


def views(config: Config, images: Inputs, seed: int) -> Callable[[int], tf.data.Dataset]:
    """First epoch -> batches of two changed views of each image."""
    both = (config.augmentation, config.augmentation)

    def from_epoch(first: int) -> tf.data.Dataset:
        epochs = config.optimizer.epochs
        return pipeline.views(images, config.images, both, seed=seed, epochs=epochs, first_epoch=first)

    return from_epoch
