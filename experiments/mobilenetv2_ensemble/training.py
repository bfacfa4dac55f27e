"""How each row's network is trained, or loaded where that is done already."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.layers import in_float32
from cervix_tf.losses.focal_loss import FocalLoss
from cervix_tf.losses.population_weights import population_weights
from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy
from cervix_tf.run_dir import RunDir
from cervix_tf.train import devices, fit
from cervix_tf.train.dynamic_class_weights import DynamicClassWeights
from cervix_tf.train.harmonic_mean_tpr import HarmonicMeanTPR
from cervix_tf.train.true_positive_rate import TruePositiveRate
from experiments.mobilenetv2_ensemble import model
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS, Config
from experiments.mobilenetv2_ensemble.data import Parts, inputs_of
from experiments.mobilenetv2_ensemble.rows import ALL_TYPES, ROWS, WEIGHTED, Loss, Row
from experiments.mobilenetv2_ensemble.schedule import criterion_of, images_of, loss_of, optimiser_of


def network(config: Config, row: Row, parts: Parts, out: RunDir, prefix: str) -> keras.Model:
    """The network of a row with its best weights, trained on `parts`, as far as that is not done already.

    `prefix` begins the names of the fold's rows in `out`.
    """
    if row.stage == "checkpoint":
        return _checkpoint(config, row, parts, out, prefix)
    if row.stage == "ensemble":
        return _ensemble(config, row, parts, out, prefix)
    if row.stage == "fine_tuning":
        return _fine_tuned(config, row, parts, out, prefix)
    here = out.row(prefix + row.name)
    training, validation = inputs_of(parts["train"], row.images), inputs_of(parts["validation"], row.images)
    images, seed = images_of(config, row), seed_of(config, here)

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.training(
            training, images, config.augmentation, seed=seed, epochs=optimiser_of(config, row).epochs, first_epoch=first
        )

    with _started(config, seed), devices.precision(config.precision):
        lent = _lent(config, row, _untrained(config, row), training)
    _fit(config, row, lent.trained, lent.loss, batches, lambda: pipeline.evaluation(validation, images), training, here)
    lent.tested.set_weights(lent.trained.get_weights())
    return lent.tested


class _Lent(NamedTuple):
    """A network that one training after the other uses."""

    trained: keras.Model
    """Compiled, in the precision of the run."""
    tested: keras.Model
    """In float32; the same one where the run trains in that."""
    loss: keras.losses.Loss


_LENT: dict[tuple, _Lent] = {}


def _lent(config: Config, row: Row, untrained: keras.Model, training: Inputs) -> _Lent:
    """What trains every fold of a row, and the next rows that differ from it in numbers alone, with this start.

    To trace a network anew for each fold takes as long as some epochs of the IARC images.
    """
    loss = WEIGHTED if row.loss.weighted else row.loss
    alike = (dataclasses.replace(config, seed=0), row.images, row.backbone, loss)
    if alike not in _LENT:
        _LENT.clear()  # one is as much as memory should hold
        found = _compile(config, row, untrained)
        tested = in_float32(untrained) if config.precision != "float32" else untrained
        _LENT[alike] = _Lent(untrained, tested, found)
    lent = _LENT[alike]
    for variable, value in zip(lent.trained.variables, untrained.variables, strict=True):
        variable.assign(value)
    for variable in lent.trained.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    lent.trained.optimizer.learning_rate = optimiser_of(config, row).learning_rate
    if isinstance(lent.loss, WeightedCrossEntropy):
        lent.loss.assign(_class_weights(row.loss, training))
    return lent


def _class_weights(loss: Loss, training: Inputs) -> np.ndarray:
    """What a weighted cross entropy begins with."""
    if loss.population:
        return population_weights(np.bincount(training.labels, minlength=len(CLASSES)))
    return np.full(len(CLASSES), 1 / len(CLASSES))


def seed_of(config: Config, out: RunDir) -> int:
    """The seed of one network: it depends on the run's seed and the row's name, not on what was trained before."""
    return (config.seed * 1_000_003 + zlib.crc32(out.root.name.encode())) % 2**31


def _untrained(config: Config, row: Row) -> keras.Model:
    if row.backbone:
        return model.baseline(config, row.backbone)
    return model.single_view(config, "acetic" if row.images == ALL_TYPES else row.images)


def _checkpoint(config: Config, row: Row, parts: Parts, out: RunDir, prefix: str) -> keras.Model:
    """The network that another row trains, at the epoch that is best in the criterion of balance."""
    trained = network(config, ROWS[row.needs[0]], parts, out, prefix)
    if config.criterion != config.imbalance.criterion:
        trained.load_weights(out.row(prefix + row.needs[0]).best_weights_by(config.imbalance.criterion))
    return trained


def _ensemble(config: Config, row: Row, parts: Parts, out: RunDir, prefix: str) -> keras.Model:
    """The ensemble over trained views, whose trunks stay as they are, with its best weights.

    Since the trunks are fixed, what they make of the images is computed once, for
    `feature_copies` augmented copies of the training cases, and only the fusion is run
    in every epoch.
    """
    views = {}
    for kind, name in zip(KINDS, row.needs, strict=True):
        lent = network(config, ROWS[name], parts, out, prefix)
        views[kind] = keras.models.clone_model(lent)  # to be frozen, while other rows train the one that is lent
        views[kind].set_weights(lent.get_weights())
    here, optimiser = out.row(prefix + row.name), optimiser_of(config, row)
    training, validation = inputs_of(parts["train"], row.images), inputs_of(parts["validation"], row.images)
    seed = seed_of(config, here)
    with _started(config, seed):
        trunks = model.stacked(config, {kind: model.trunk_of(view, kind) for kind, view in views.items()})
        head = model.fusion(config, trunks.output_shape[1:])
        loss = _compile(config, row, head)

    def features(batches: tf.data.Dataset) -> np.ndarray:
        with pipeline.readable_errors():
            return trunks.predict(batches, verbose=0)

    def batches(first: int) -> tf.data.Dataset:
        copies = [
            features(pipeline.one_epoch(training, config.images, config.augmentation, seed=seed, epoch=copy))
            for copy in range(min(config.feature_copies, optimiser.epochs))
        ]
        return pipeline.training_features(
            np.stack(copies), training, config.images, seed=seed, epochs=optimiser.epochs, first_epoch=first
        )

    def held_out() -> tf.data.Dataset:
        seen = features(pipeline.evaluation(validation, config.images))
        return tf.data.Dataset.from_tensor_slices((seen, validation.labels)).batch(config.images.batch_size)

    _fit(config, row, head, loss, batches, held_out, training, here)
    learnt = model.fusion(config, trunks.output_shape[1:])  # uncompiled: no optimiser state in the saved model
    learnt.set_weights(head.get_weights())
    return model.ensemble(trunks, learnt)


def _fine_tuned(config: Config, row: Row, parts: Parts, out: RunDir, prefix: str) -> keras.Model:
    """The ensemble trained on as a whole, trunks and all. Source: sec. 3.5.3."""
    here = out.row(prefix + row.name)
    whole = network(config, ROWS[row.needs[0]], parts, out, prefix)
    training, validation = inputs_of(parts["train"], row.images), inputs_of(parts["validation"], row.images)
    images, seed = images_of(config, row), seed_of(config, here)

    def batches(first: int) -> tf.data.Dataset:
        return pipeline.training(
            training, images, config.augmentation, seed=seed, epochs=config.fine_tuning.epochs, first_epoch=first
        )

    with _started(config, seed):
        model.unfreeze(config, whole)
        loss = _compile(config, row, whole)
    _fit(config, row, whole, loss, batches, lambda: pipeline.evaluation(validation, images), training, here)
    return whole


@contextlib.contextmanager
def _started(config: Config, seed: int) -> Iterator[None]:
    """Build a network inside this: on the chosen devices, from weights that depend on `seed` alone."""
    keras.utils.set_random_seed(seed)
    with devices.strategy(config.devices).scope():
        yield


def _compile(config: Config, row: Row, untrained: keras.Model) -> keras.losses.Loss:
    """Adam, the row's loss, which it returns, accuracy, and the true positive rates: each and their harmonic mean.

    Class weights are equal at first.
    """
    chosen = loss_of(config, row)
    loss: keras.losses.Loss
    if chosen.focal:
        loss = FocalLoss(chosen.focal)
    elif chosen.weighted:
        loss = WeightedCrossEntropy([1 / len(CLASSES)] * len(CLASSES))
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = [TruePositiveRate(at, name=f"tpr_{name}") for at, name in enumerate(CLASSES)]
    untrained.compile(
        optimizer=fit.adam(optimiser_of(config, row)),
        loss=loss,
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy"), HarmonicMeanTPR(len(CLASSES)), *rates],
        jit_compile=devices.jit_compile(),
    )
    return loss


def _fit(
    config: Config,
    row: Row,
    untrained: keras.Model,
    loss: keras.losses.Loss,
    batches: Callable[[int], tf.data.Dataset],
    validation: Callable[[], tf.data.Dataset],
    training: Inputs,
    out: RunDir,
) -> None:
    """Train a compiled network as the configuration says, and print what came of it on one line.

    The datasets are made only where there is something left to train.
    """
    epochs, criterion = optimiser_of(config, row).epochs, criterion_of(config, row)
    done = len(pd.read_csv(out.history)) if out.history.exists() else 0
    callbacks = [fit.tensorboard(out)] if config.tensorboard else []
    if phi := loss_of(config, row).phi:
        callbacks.append(DynamicClassWeights(loss, phi, CLASSES, out))
    history = fit.fit(
        untrained,
        batches,
        validation() if done < epochs else None,
        epochs=epochs,
        steps_per_epoch=pipeline.steps(training, images_of(config, row)),
        criterion=criterion,
        also_by=[config.imbalance.criterion] if row.backbone else [],
        out=out,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 0,
    )
    if done == len(history):
        return
    best = history.iloc[fit.best_epoch(history, criterion) - 1]
    print(
        f"{out.root.name}: {len(training)} training inputs, {len(history)} epochs, {history['seconds'].sum():.0f} s; "
        f"kept epoch {best['epoch']:.0f} ({criterion} {best[criterion]:.3f})",
        flush=True,
    )
