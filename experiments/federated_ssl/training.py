"""Self-supervised pre-training, alone, together and federated, and the classifiers that start from it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.config import Augmentation, SGDConfig
from cervix_tf.data import inputs, pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.synthetic import textures
from cervix_tf.federated import simulation
from cervix_tf.federated.averaging import Weights
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.policy import ring
from cervix_tf.losses.nt_xent import NTXent
from cervix_tf.losses.population_weights import population_weights
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.training import batch_statistics, devices, fit
from cervix_tf.training.global_batch import GlobalBatch
from experiments.federated_ssl import model
from experiments.federated_ssl.config import Config, Row, every, rounds_at
from experiments.federated_ssl.data import Site, described


class Networks:
    """The networks of a run, built and traced once: every training starts from weights that are set."""

    def __init__(self, config: Config, settling: Inputs) -> None:
        """Build them; `settling`: images whose batch statistics a random network starts with.

        Without these, what a random network says of any two images differs by less than it is rounded.
        """
        self.config = config
        with study_training.building(config.devices, seed_of(config.seed, "initial weights")):
            self.encoder = model.encoder(config, "random")
            self.learner, self.classifier = model.learner(config, self.encoder), model.classifier(self.encoder)
            compile_learner(self.learner, config)
            _compile(self.classifier, config.fine_tuning, keras.losses.BinaryCrossentropy(from_logits=True))
            self.exported = model.of_two_classes(self.classifier)
        batch_statistics.measure(self.encoder, pipeline.evaluation(settling, config.images))
        self.random = self.encoder.get_weights()
        self._reusable = {net.name: study_training.reusable(net) for net in (self.learner, self.classifier)}

    def started(self, network: keras.Model, weights: Weights) -> keras.Model:
        """`network` (`learner` or `classifier`) with these weights of the encoder; head and optimizer as at first."""
        optimizer = self.config.ssl if network is self.learner else self.config.fine_tuning
        reusable = self._reusable[network.name]
        return reusable.start(optimizer.learning_rate, [*weights, *reusable.initial[len(weights) :]])

    def trained_classifier(self, out: RunDir) -> keras.Model:
        """The classifier of two logits with the best weights of the training in `out`."""
        self.classifier.load_weights(out.best_weights)
        return self.exported

    @functools.cached_property
    def imagenet(self) -> Weights:
        """Weights of the encoder from ImageNet, or from the drawn textures that stand in for it."""
        if self.config.weights == "drawn":
            return self._textures()
        with devices.strategy(self.config.devices).scope():
            return model.encoder(self.config, self.config.weights).get_weights()

    def first(self) -> Weights:
        """What self-supervised learning starts from."""
        return self.random if self.config.start == "random" else self.imagenet

    def _textures(self) -> Weights:
        images, seed = self.config.images, seed_of(self.config.seed, "textures")
        pictures, labels = textures.drawn(1200, (images.height, images.width), seed)
        keras.utils.set_random_seed(seed)
        head = keras.layers.Dense(len(textures.KINDS), dtype="float32", name="kinds")(self.encoder.output)
        network = keras.Model(self.encoder.input, head)
        _compile(network, self.config.ssl, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.encoder.set_weights(self.random)
        network.fit(pictures, labels, batch_size=32, epochs=4, verbose=0)
        return self.encoder.get_weights()


def finished(config: Config, sites: Sequence[str], out: RunDir) -> dict[Row, dict[str, Any]]:
    """Row -> site -> metrics.json of what is finished at all these sites, by whichever command, in Table II's order."""
    found = {row: {site: out.row(row.classifier(site)).metrics for site in sites} for row in every(config, sites)}
    return {
        row: {site: read_json(path) for site, path in of_site.items()}
        for row, of_site in found.items()
        if all(path.exists() for path in of_site.values())
    }


def evaluate_row(
    lent: Callable[[], Networks], row: Row, sites: Mapping[str, Site], name: str, config: Config, out: RunDir
) -> None:
    """Train a site's classifier that starts as the row says, and write its metrics, where that is not done yet."""
    result, site = out.row(row.classifier(name)), sites[name]
    if result.metrics.exists():
        return
    networks = lent()
    around = sorted(sites, key=lambda other: not sites[other].labeled)  # the ring: sites without labels come last
    fine_tune(networks, pretrained(networks, row, sites, name, around, out), site, name, result)
    about = described(config, row, f"site {name}")
    metrics = evaluation.evaluate(networks.exported, site.labeled, config.images, result, about, config.seed)
    area = metrics["binary"]["metrics"]["auc"]
    print(f"{row.name} {name}: AUC {area['value']:.3f} [{area['low'] or 0:.3f}, {area['high'] or 1:.3f}]", flush=True)


def copy_results(best: RunDir, out: RunDir) -> None:
    """Make the best row's predictions and metrics those of the run."""
    predictions.write(predictions.read(best.predictions), out.predictions)
    predictions.write(predictions.read(best.validation_predictions), out.validation_predictions)
    write_json(out.metrics, read_json(best.metrics))


def pretrained(
    networks: Networks, row: Row, sites: Mapping[str, Site], site: str, order: Sequence[str], out: RunDir
) -> Weights:
    """The encoder's weights from which a site's classifier starts; a finished training is not repeated.

    `order` is that of the ring. Source: sec. III-C.
    """
    if row.kind == "random":
        return networks.random
    if row.kind == "imagenet":
        return networks.imagenet
    where, count = out.row(row.pretraining(site)), len(networks.random)
    if row.kind in ("csfssl", "ppfssl"):
        return _federated(networks, row, sites, site, order, where)[:count]
    chosen = {site: sites[site]} if row.kind == "ssl" else sites
    train, held_out = (
        inputs.joined([each.images[part] for each in chosen.values()]) for part in ("train", "validation")
    )
    network, config = networks.started(networks.learner, networks.first()), networks.config
    seed = seed_of(config.seed, row.pretraining(site))
    fit.fit(
        network,
        _views(config, row.n, train, seed),
        validation_views(config, row.n, held_out),
        epochs=config.ssl.epochs,
        steps_per_epoch=_steps(train, row.n),
        criterion="val_loss",
        patience=config.patience,
        out=where,
    )
    return network.get_weights()[:count]


def _federated(
    networks: Networks, row: Row, sites: Mapping[str, Site], site: str, order: Sequence[str], out: RunDir
) -> Weights:
    """The learner's weights after a federation of all sites, as `site` uses them.

    The loss of a round is the mean of the sites' own, as institutions measure it with Flower.

    Source: sec. II-B. Rounds: as many passes over a site's images as without federation.
    Departs: sec. III-D counts epochs without a lower loss, which here are those of whole rounds.
    """
    config = networks.config
    network = networks.started(networks.learner, networks.first())
    first = network.get_weights()
    policy = dataclasses.replace(config.federation, local_epochs=row.e, rounds=rounds_at(config, row.e))
    trainer = Trainer(network, policy, config.seed)
    clients = {
        name: dataclasses.replace(
            client(config, name, each.images["train"], row.n),
            held_out=validation_views(config, row.n, each.images["validation"]),
        )
        for name, each in sites.items()
    }

    def loss(weights: Weights) -> float:
        return float(np.mean([trainer.loss(each, weights) for each in clients.values()]))

    around = ring(order, row.start) if row.kind == "ppfssl" else tuple(clients)
    weights = simulation.run(
        [trainer],
        [clients[name] for name in around],
        first,
        out,
        topology="ring" if row.kind == "ppfssl" else "server",
        held_out=loss,
        patience=rounds_of(config.patience, row.e),
    )
    return trainer.localized(clients[site], weights)


def rounds_of(epochs: int, local_epochs: int) -> int:
    """The fewest rounds that hold so many epochs of each site."""
    return math.ceil(epochs / local_epochs)


def client(config: Config, name: str, images: Inputs, n: int) -> Client:
    """A site's part in a federation: batches of two views of n of its images."""
    return Client(name, _views(config, n, images, seed_of(config.seed, name)), _steps(images, n), len(images))


def fine_tune(networks: Networks, weights: Weights, site: Site, name: str, out: RunDir) -> None:
    """Train the site's classifier from the encoder's `weights`, and leave it with those of its best epoch.

    All rows' classifiers of a site see the same batches. Source: sec. III-B and III-D; inverse class weights.
    """
    config = networks.config
    network = networks.started(networks.classifier, weights)
    images = dataclasses.replace(config.images, batch_size=config.fine_tuning_batch)
    train, seed = site.labeled["train"], seed_of(config.seed, "classifier", name)
    share = population_weights(np.bincount(train.labels, minlength=2)) * 2  # mean 1 over classes
    class_weights = tf.constant(share, tf.float32)

    def weighted(batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(lambda pixels, labels: (pixels, labels[:, None], tf.gather(class_weights, labels)))

    fit.fit(
        network,
        lambda first: weighted(
            pipeline.training(
                train,
                images,
                config.fine_tuning_augmentation,
                seed=seed,
                epochs=config.fine_tuning.epochs,
                first_epoch=first,
            )
        ),
        weighted(pipeline.evaluation(site.labeled["validation"], config.images)),
        epochs=config.fine_tuning.epochs,
        steps_per_epoch=pipeline.steps(train, images),
        criterion="val_loss",
        patience=config.patience,
        out=out,
    )


def _views(config: Config, n: int, seen: Inputs, seed: int) -> Callable[[int], tf.data.Dataset]:
    """First epoch -> batches of two views of n images, for as many epochs as anything here trains in one go.

    Source: sec. II-A and II-C.
    """
    images = dataclasses.replace(config.images, batch_size=n)
    most = max(config.ssl.epochs, *config.local_epochs, config.federation.local_epochs)

    def from_epoch(first: int) -> tf.data.Dataset:
        return pipeline.views(seen, images, _pair(config), seed=seed, epochs=first + most, first_epoch=first)

    return from_epoch


def validation_views(config: Config, n: int, seen: Inputs) -> tf.data.Dataset:
    """The same batches every time, of validation images."""
    images = dataclasses.replace(config.images, batch_size=n)
    return pipeline.views(seen, images, _pair(config), seed=config.seed, epochs=1)


def _pair(config: Config) -> tuple[Augmentation, Augmentation]:
    both = config.views == "two_augmented"
    return (config.augmentation if both else Augmentation()), config.augmentation


def _steps(seen: Inputs, n: int) -> int:
    return len(seen) // min(n, len(seen))


def compile_learner(network: keras.Model, config: Config) -> None:
    """Compile for self-supervised learning (sec. II-A)."""
    _compile(network, config.ssl, GlobalBatch(NTXent(config.temperature)))


def _compile(network: keras.Model, optimizer: SGDConfig, loss: keras.losses.Loss) -> None:
    """Stochastic gradient descent with momentum (sec. III-D)."""
    sgd = fit.sgd(optimizer)
    network.compile(optimizer=sgd, loss=loss, jit_compile=devices.jit_compile())
    sgd.build(network.trainable_variables)
