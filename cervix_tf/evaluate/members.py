"""Several answers to one input, whose spread measures uncertainty: turned images, dropout left on, other seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cervix_tf.errors import InputError
from cervix_tf.export import runtime
from cervix_tf.export.runtime import Model
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir

if TYPE_CHECKING:
    import keras

    from cervix_tf.data.inputs import Inputs

Way = Literal["flips", "turns", "dropout"]


@dataclass(frozen=True)
class Wanted:
    """Which other answers to ask for."""

    ways: tuple[Way, ...] = ()
    """"flips": of the image and its mirror images, left-right, top-bottom and both. "turns": of these, and of all
    turned by a quarter. "dropout": of passes in which dropout acts as in training, and nothing else does."""
    samples: int = 20
    """Passes with dropout."""
    ensemble: tuple[Model, ...] = ()
    """Models of the same study from other seeds."""


NOTHING = Wanted()


def ready(
    model: Model, wanted: Wanted, seed: int = 0
) -> Callable[[Inputs, Predictions, int], dict[str, list[Predictions]]]:
    """What gives, of inputs, the model's own predictions of them and a batch size, each way's members' predictions.

    `seed` is of dropout's draws.

    Raises `InputError` for turns of images that are not square inside the network or are views of a case, for dropout
    where the network has none or only exported files are there, and for an ensemble of different classes or views.
    """
    _check_ensemble(model, wanted.ensemble)
    spread = {way: _spread(model, way, wanted.samples, seed) for way in wanted.ways}

    def answers(chosen: Inputs, own: Predictions, batch_size: int) -> dict[str, list[Predictions]]:
        def of(probabilities: np.ndarray) -> Predictions:
            return predictions.from_rows(chosen.rows, probabilities, model.contract.classes)

        found: dict[str, list[Predictions]] = {}
        for way, many in spread.items():
            given = runtime.probabilities(many, chosen.files, batch_size)  # (inputs, members, classes)
            found[way] = [of(given[:, at]) for at in range(given.shape[1])]
        if wanted.ensemble:
            others = [of(runtime.probabilities(other, chosen.files, batch_size)) for other in wanted.ensemble]
            found["ensemble"] = [own, *others]
        return found

    return answers


def _spread(model: Model, way: Way, samples: int, seed: int) -> Model:
    """The model whose network gives every member's answer: (batch, ...) pixels -> (batch, members, classes)."""
    answer = _with_dropout(model, samples, seed) if way == "dropout" else _moved(model, way)
    return replace(model, network=answer, neighbors=None)


def _check_ensemble(model: Model, others: Sequence[Model]) -> None:
    for other in others:
        for name in ("classes", "positive", "views"):
            mine, theirs = (getattr(each.contract, name) for each in (model, other))
            if mine != theirs:
                raise InputError(
                    f"--ensemble {other.path}: its {name} are {', '.join(theirs) or 'none'}, those of {model.path} "
                    f"{', '.join(mine) or 'none'}; give runs of one study that differ in their seed"
                )
        if other.contract.missing_views != model.contract.missing_views:
            takes, not_ = (other, model) if other.contract.missing_views else (model, other)
            raise InputError(
                f"--ensemble {other.path}: {takes.path} takes cases that lack views, {not_.path} does not; give runs "
                "of one study that differ in their seed"
            )


def _moved(model: Model, way: Way) -> Callable[[np.ndarray], np.ndarray]:
    contract = model.contract
    if way == "turns" and (contract.views or contract.height != contract.width):
        why = (
            "a case's photographs have an upright"
            if contract.views
            else f"the network's {contract.width} x {contract.height} pixels would stretch a turned image otherwise"
        )
        raise InputError(f"--uncertainty turns: {why}; use flips")
    quarters = (0, 1) if way == "turns" else (0,)

    def answers(pixels: np.ndarray) -> np.ndarray:
        members = []
        for quarter in quarters:
            turned = np.rot90(pixels, quarter, axes=(-3, -2))
            for axes in ((), (-2,), (-3,), (-3, -2)):
                members.append(model.run(np.ascontiguousarray(np.flip(turned, axes))))
        return np.stack(members, axis=1)

    return answers


def _with_dropout(model: Model, samples: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    if model.contract.neighbors:
        raise InputError(f"--uncertainty dropout: {model.path} gives embeddings, not class scores; leave dropout out")
    if model.serving is None and (model.run_dir is None or not model.run_dir.model.is_file()):
        raise InputError(
            f"--uncertainty dropout: exported files such as {model.path} have none left; give a run directory with "
            f"{RunDir(Path()).model.name}, or that file, or use flips or turns"
        )
    from cervix_tf.layers.view_dropout import ViewDropout  # it imports Keras

    _, resize, network, *after = runtime.keras_model(model).layers
    dropouts = _dropouts(network)
    if not dropouts:
        raise InputError(f"--uncertainty dropout: the network of {model.path} has none; use flips or turns")
    for at, layer in enumerate(dropouts):
        layer.seed_generator.state.assign([seed + at, 0])
    for layer in network._flatten_layers():
        if isinstance(layer, ViewDropout):
            layer.rate = 0.0  # otherwise a pass would answer to other images
    # What is not trainable keeps to its moving statistics (batch normalization) though it is told to train.
    network.trainable = False
    before, rest = _split(network)

    def answers(pixels: np.ndarray) -> np.ndarray:
        features = before(resize(pixels) if pixels.dtype == np.uint8 else pixels, training=False)
        members = [
            functools.reduce(lambda x, layer: layer(x), after, rest(features, training=True)) for _ in range(samples)
        ]
        return np.stack([np.asarray(each) for each in members], axis=1)

    return answers


def _dropouts(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers in a layer, itself included, that drop something in training."""
    import keras

    kinds = (keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout)
    return [each for each in layer._flatten_layers() if isinstance(each, kinds) and each.rate > 0]


def _split(network: keras.Model) -> tuple[Callable[..., keras.KerasTensor], keras.Model]:
    """What comes before the first dropout, which every pass shares, and the rest."""
    import keras

    first = next(layer for layer in network.layers if _dropouts(layer))
    try:
        return keras.Model(network.input, first.input), keras.Model(first.input, network.output)
    except (ValueError, AttributeError):  # something else passes by the dropout, or it is used twice
        return lambda pixels, training: pixels, network
