"""How each row's network is trained, or loaded where that is done already."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cervix_tf.data import pipeline
from cervix_tf.layers import InvertedResidualFusion
from cervix_tf.losses.focal_loss import FocalLoss
from cervix_tf.losses.population_weights import population_weights
from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy
from cervix_tf.metrics import margin, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.models.mobilenet_v2 import mobilenet_v2
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.seeds import seed_of
from cervix_tf.study import evaluation
from cervix_tf.study import training as study_training
from cervix_tf.study.training import ReusableNetwork
from cervix_tf.training import batch_statistics, devices, epoch_states, fit, loss_variables
from cervix_tf.training.bias_corrected_statistics import BiasCorrectedStatistics
from cervix_tf.training.dynamic_class_weights import DynamicClassWeights
from cervix_tf.training.harmonic_mean_tpr import HarmonicMeanTPR
from cervix_tf.training.true_positive_rate import TruePositiveRate
from experiments.mobilenetv2_ensemble import model
from experiments.mobilenetv2_ensemble.config import (
    ALL_TYPES,
    ANY_VIEWS,
    CLASSES,
    KINDS,
    MAIN_ROW,
    ROWS,
    WEIGHTED,
    Config,
    Loss,
    Row,
    result_dir,
)
from experiments.mobilenetv2_ensemble.data import Fold, described

_REUSABLE: dict[tuple[Config, str, str, Loss], ReusableNetwork] = {}


class _Ensemble(NamedTuple):
    """An ensemble and its frozen trunks alone, which make the features that its head is trained on."""

    trunks: keras.Model
    whole: keras.Model


_LAST_ENSEMBLE: dict[tuple[Config, Path], _Ensemble] = {}
"""The ensemble that was asked for last, by where it was trained: fine-tuning goes on with it. To build and trace
seven views again takes longer than the training."""


def network(config: Config, row: Row, fold: Fold) -> keras.Model:
    """The network of a row with its best weights, trained on the fold as far as that is not done already.

    It is the next row's or fold's too where `_reusable` says so: predict with it before another one is asked for.
    """
    if row.stage == "ensemble":
        _LAST_ENSEMBLE.clear()  # one is as much as memory should hold
        trained = _ensemble(config, row, fold)
        if any(row.name in other.needs for other in ROWS.values()):
            _LAST_ENSEMBLE[config, fold.training_dir(row.name).root] = trained
        return trained.whole
    if row.stage == "fine_tuning":
        return _fine_tuned(config, row, fold)
    if row.stage == "end_to_end":
        return _end_to_end(config, row, fold)
    if row.stage == "checkpoint":  # of another row's training, the epoch that is best in the criterion of balance
        needed = network(config, ROWS[row.needs[0]], fold)
        if config.criterion != config.imbalance.criterion:
            needed.load_weights(fold.training_dir(row.needs[0]).best_weights_by(config.imbalance.criterion))
        return needed
    reusable = _reusable(config, row, fold)
    _train(config, row, fold, reusable.trained)
    return reusable.result()


def evaluate_row(
    config: Config, row: Row, folds: Sequence[Fold], main_model: Callable[[], keras.Model], out: RunDir
) -> None:
    """Train the row's networks as far as that is not done; write predictions and metrics, pooled over the folds.

    `main_model` gives the main row's network of the first fold, which is deployed too.
    """
    result = result_dir(out, row.name)
    if row.stage == "time":
        return write_json(result.metrics, evaluation.forward_pass(model.timed(row), config.timed_passes))
    tested, validated = [], None
    for fold in folds:
        if row.stage == "probe":
            tested.append(probe(config, row, fold))
            continue
        is_main = row.name == MAIN_ROW and fold is folds[0]
        trained = main_model() if is_main else network(config, row, fold)
        tested.append(evaluation.predict(trained, fold.inputs("test", row.images), config.images_of(row)))
        if len(folds) == 1 and "validation" in fold.splits:
            validated = evaluation.predict(trained, fold.inputs("validation", row.images), config.images_of(row))
        del trained
        evaluation.release()
    predicted, about = evaluation.pooled(tested), described(config)
    more = {"margin": margin.summary(predicted, positive=about.positive, seed=config.seed)}
    evaluation.write(result, predicted, validated, about, config.seed, more)


def probe(config: Config, row: Row, fold: Fold) -> Predictions:
    """Test predictions of a logistic regression on the initial weights' features, 1280 an image, pooled."""
    images = config.images
    with study_training.building(config.devices, _seed(config, row, fold)):  # random ones, too, are the row's own
        trunk = mobilenet_v2(images.height, images.width, alpha=config.network.alpha, weights=config.weights)
    train, test = fold.inputs("train", row.images), fold.inputs("test", row.images)
    features, tested = (evaluation.features(trunk, each, images).mean(axis=(1, 2)) for each in (train, test))
    return predictions.from_rows(test.rows, evaluation.probe(features, train.labels, tested), CLASSES)


def _reusable(config: Config, row: Row, fold: Fold) -> ReusableNetwork:
    """The compiled network of a row of single images, at the row's own initial weights and learning rate.

    Every fold of a row trains it, and so do the next rows that differ in numbers alone: to trace a network again
    for each fold takes as long as some epochs of the IARC images.
    """
    key = (dataclasses.replace(config, seed=0), row.images, row.backbone, WEIGHTED if row.loss.weighted else row.loss)
    with study_training.building(config.devices, _seed(config, row, fold)), devices.precision(config.precision):
        initial = []
        if key not in _REUSABLE or not epoch_states.finished(fold.training_dir(row.name)):
            if row.backbone:
                untrained = model.baseline(config, row.backbone)
            else:
                untrained = model.single_view(config, "acetic" if row.images == ALL_TYPES else row.images)
            if key not in _REUSABLE:
                _REUSABLE.clear()  # one is as much as memory should hold
                _compile(config, row, untrained)
                _REUSABLE[key] = study_training.reusable(untrained)
            initial = untrained.variables
        trained = _REUSABLE[key].start(config.optimizer_of(row).learning_rate, initial)
    if isinstance(trained.loss, WeightedCrossEntropy):
        weights = np.full(len(CLASSES), 1 / len(CLASSES))
        if row.loss.population:
            weights = population_weights(np.bincount(fold.inputs("train", row.images).labels, minlength=len(CLASSES)))
        trained.loss.assign(weights)
    return _REUSABLE[key]


def _taken(config: Config, name: str, fold: Fold) -> _Ensemble:
    """The trained ensemble of the row `name`, to be trained further: the last one that was asked for, if it is that."""
    return _LAST_ENSEMBLE.pop((config, fold.training_dir(name).root), None) or _ensemble(config, ROWS[name], fold)


def _ensemble(config: Config, row: Row, fold: Fold) -> _Ensemble:
    """The ensemble over trained views, whose trunks stay as they are, with its best weights."""
    views = {}
    for kind, name in zip(KINDS, row.needs, strict=True):
        views[kind] = network(config, ROWS[name], fold)
        _REUSABLE.clear()  # this one is frozen from now on: other rows train one of their own
    with study_training.building(config.devices, _seed(config, row, fold)):
        trunks = {kind: model.trunk_of(view, kind) for kind, view in views.items()}
        stacked = model.stacked(config, trunks, any_views=_any_views(row))
        head = _fusion(config, row, stacked)
    _train_head(config, row, fold, stacked, head)
    # Uncompiled: no optimizer state in the saved model.
    fusion = _fusion(config, row, stacked)
    fusion.set_weights(head.get_weights())
    return _Ensemble(stacked, model.ensemble(stacked, fusion))


def _fusion(config: Config, row: Row, trunks: keras.Model) -> keras.Model:
    return model.fusion(config, trunks.output_shape[1:], any_views=_any_views(row))


def _fine_tuned(config: Config, row: Row, fold: Fold) -> keras.Model:
    """The ensemble whose fusion is trained further, its trunks still fixed. Source: sec. 3.5.2 and 3.5.3."""
    trunks, whole = _taken(config, row.needs[0], fold)
    fusion = model.head_of(whole)
    with study_training.building(config.devices, _seed(config, row, fold)):
        head = _fusion(config, row, trunks)
    head.set_weights(fusion.get_weights())
    model.drop(config, head)
    _train_head(config, row, fold, trunks, head)
    fusion.set_weights(head.get_weights())
    return whole


def _end_to_end(config: Config, row: Row, fold: Fold) -> keras.Model:
    """The ensemble trained further as a whole, trunks too. Source: sec. 5."""
    whole = _taken(config, row.needs[0], fold).whole
    model.drop(config, model.head_of(whole))
    model.unfreeze(whole)
    with study_training.building(config.devices, _seed(config, row, fold)):
        _compile(config, row, whole)
    _train(config, row, fold, whole)
    return whole


def _train_head(config: Config, row: Row, fold: Fold, trunks: keras.Model, head: keras.Model) -> None:
    """Train the head of an ensemble, its trunks fixed.

    With fewer `feature_copies` than epochs, what the trunks make of so many augmented copies of the training cases is
    computed once, and only the head is run in every epoch.
    """
    train, validation = fold.inputs("train", row.images), fold.inputs("validation", row.images)
    images, epochs, seed = config.images_of(row), config.optimizer_of(row).epochs, _seed(config, row, fold)
    copies = config.feature_copies
    with study_training.building(config.devices, seed):
        whole = model.ensemble(trunks, head)
        trained = head if copies < epochs else whole
        _compile(config, row, trained)

    def batches(first: int) -> tf.data.Dataset:
        features = np.empty((copies, len(train), *trunks.output_shape[1:]), np.float32)
        for copy in range(copies):
            augmented = pipeline.one_epoch(train, images, config.augmentation, seed=seed, epoch=copy)
            # Float pixels as those of `held_out`: for other ones the trunks would be traced again.
            pixels = augmented.map(lambda pixels, labels: (tf.cast(pixels, tf.float32), labels))
            features[copy] = fit.outputs(trunks, pixels, f"features of {len(train)} inputs, {copy + 1} of {copies}")
        return pipeline.training_features(
            features, train, images, seed=seed, epochs=epochs, first_epoch=first, keep_rest=_keep_rest(config)
        )

    def held_out() -> tf.data.Dataset:
        features = evaluation.features(trunks, validation, images)
        return tf.data.Dataset.from_tensor_slices((features, validation.labels)).batch(images.batch_size)

    if trained is head:
        study_training.train(
            head,
            batches,
            held_out,
            inputs=len(train),
            epochs=epochs,
            steps_per_epoch=pipeline.steps(train, images, _keep_rest(config)),
            **_kept(config, row, fold, head),
        )
    else:
        _train(config, row, fold, whole)


def _any_views(row: Row) -> bool:
    return row.images == ANY_VIEWS


def _seed(config: Config, row: Row, fold: Fold) -> int:
    """The seed of one network: it depends on the run's seed and the row's name, not on what was trained before."""
    return seed_of(config.seed, fold.prefix + row.name)


def _keep_rest(config: Config) -> bool:
    """Whether an epoch ends with a batch of what is left, as PyTorch's loader does.

    Several devices share batches, and one that got nothing of the last would have no mean to normalize by.
    """
    return devices.strategy(config.devices).num_replicas_in_sync == 1


def _compile(config: Config, row: Row, untrained: keras.Model) -> None:
    """Adam, the row's loss, accuracy, and the true positive rates: each and their harmonic mean.

    Class weights are equal at first.
    """
    chosen = config.loss_of(row)
    loss: keras.losses.Loss
    if chosen.focal:
        loss = FocalLoss(chosen.focal)
    elif chosen.weighted:
        loss = WeightedCrossEntropy([1 / len(CLASSES)] * len(CLASSES))
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = [TruePositiveRate(at, name=f"tpr_{name}") for at, name in enumerate(CLASSES)]
    untrained.compile(
        optimizer=fit.adam(config.optimizer_of(row)),
        loss=loss,
        metrics=[
            keras.metrics.SparseCategoricalAccuracy("accuracy"),
            HarmonicMeanTPR(len(CLASSES)),
            *rates,
            *loss_variables.metrics(loss),
        ],
        jit_compile=devices.jit_compile(),
    )


def _train(config: Config, row: Row, fold: Fold, compiled: keras.Model) -> None:
    """Train a compiled network on image files as the configuration says of its row."""
    study_training.train_on_images(
        compiled,
        {name: fold.inputs(name, row.images) for name in ("train", "validation")},
        config.images_of(row),
        config.augmentation,
        config.optimizer_of(row),
        seed=_seed(config, row, fold),
        keep_rest=_keep_rest(config),
        **_kept(config, row, fold, compiled),
    )


def _kept(config: Config, row: Row, fold: Fold, compiled: keras.Model) -> dict[str, Any]:
    """Where a row's training is kept and by what criterion, and what it changes on the way."""
    phi, out = config.loss_of(row).phi, fold.training_dir(row.name)
    callbacks: list[keras.callbacks.Callback] = []
    if phi:
        callbacks.append(DynamicClassWeights(compiled.loss, phi, CLASSES, out))
    if fusion := [layer for layer in compiled._flatten_layers() if isinstance(layer, InvertedResidualFusion)]:
        callbacks.append(BiasCorrectedStatistics(batch_statistics.normalizations(fusion[0])))
    return {
        "criterion": config.criterion_of(row),
        "also_by": [config.imbalance.criterion] if row.backbone else [],
        "out": out,
        "tensorboard": config.tensorboard,
        "callbacks": callbacks,
    }
