"""The networks of the study, put together from the library's layers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import keras
from keras import layers, ops

from cervix_tf.layers import InvertedResidualFusion, ViewDropout
from cervix_tf.models import backbones
from cervix_tf.models.mobilenet_v2 import mobilenet_v2
from cervix_tf.study.command import Check
from cervix_tf.study.ready import InitialWeights
from experiments.mobilenetv2_ensemble.config import BASELINES, CASES, CLASSES, KINDS, VIEWS, Baselines, Config, Row

INTENDED_USE = "Research on colposcopy image classification."
NATIVE_SIZE = (480, 640)
"""Height and width of the images that the exported model is made for, pixels."""
_COUNTS = {kind: sum(view.startswith(kind) for view in VIEWS) for kind in KINDS}
"""Kind -> how many views of it a case has."""


def trunk(config: Config, kind: str) -> keras.Model:
    """Feature maps of one view: (batch, 224, 298, 3) -> (batch, 7, 10, maps); maps = 32, for green 64.

    Source: sec. 3.2.2 and Table 3.
    """
    return mobilenet_v2(
        config.images.height,
        config.images.width,
        maps=getattr(config.network, f"{kind}_maps"),
        alpha=config.network.alpha,
        weights=config.weights,
        mean=config.network.mean,
        std=config.network.std,
        name=kind,
    )


def single_view(config: Config, kind: str) -> keras.Model:
    """The network of one kind of view: (batch, 224, 298, 3) pixels -> (batch, 4) logits.

    Source: sec. 3.2.2 (average pooling and one fully connected layer) and sec. 4.1 (dropout).
    """
    features = trunk(config, kind)
    x = layers.SpatialDropout2D(config.network.dropout, name="dropout")(features.output)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    logits = layers.Dense(len(CLASSES), dtype="float32", name="logits")(x)
    return keras.Model(features.input, logits, name=f"{kind}_network")


def trunk_of(view: keras.Model, kind: str) -> keras.Model:
    """The trunk inside a network of one kind of view, with its weights: up to the maps of the last convolution."""
    return keras.Model(view.input, view.get_layer("last_relu").output, name=kind)


def baseline(config: Config, name: str) -> keras.Model:
    """A network that the paper compares with: (batch, height, width, 3) pixels -> (batch, 4) logits.

    Source: sec. 4.1.
    """
    return backbones.classifier(
        name,
        len(CLASSES),
        config.baselines.images.height,
        config.baselines.images.width,
        weights=getattr(config.baselines, name),
        head_width=config.baselines.vgg19_head,
    )


def needs(config: Config, rows: Iterable[Row]) -> dict[str, list[Check]]:
    """The initial weights that rows start from: Row -> what looks whether they are there and fit."""
    baselines = config.baselines
    of_baseline = {
        name: InitialWeights(name, baselines.images, getattr(baselines, name), f"--baselines.{name.replace('_', '-')}")
        for name in BASELINES
    }
    tuned: list[Check] = [] if config.weights == "random" else [functools.partial(trunk, config, KINDS[0])]
    return {row.name: [of_baseline[row.backbone]] if row.backbone else tuned for row in rows if row.stage != "time"}


def stacked(config: Config, trunks: dict[str, keras.Model], *, any_views: bool = False) -> keras.Model:
    """The stacked maps of seven views: (batch, 7, 224, 298, 3) pixels -> (batch, 7, 10, 256).

    The five acetic views go through their trunk in one call, folded into the batch.
    Trunks are frozen. With `any_views`, an all-black image stands for a view that is missing: its maps
    are 0, and seven more maps say of each view whether it is there, 1 or 0 everywhere: (batch, 7, 10, 263).

    Source: Algorithm 1 up to CONCATENATE; `any_views` is ours.
    """
    views = keras.Input((len(VIEWS), config.images.height, config.images.width, 3), name="views")
    there = ops.cast(ops.max(views, axis=(2, 3, 4)) > 0, "float32") if any_views else None
    maps, first = [], 0
    for kind, count in _COUNTS.items():
        network = trunks[kind]
        network.trainable = False
        height, width, depth = network.output_shape[1:]
        folded = ops.reshape(views[:, first : first + count], (-1, *network.input_shape[1:]))
        features = ops.reshape(network(folded), (-1, count, height, width, depth))
        if there is not None:
            features = features * ops.reshape(there[:, first : first + count], (-1, count, 1, 1, 1))
        # (batch, views, h, w, maps) -> (batch, h, w, views * maps): view after view, as CONCATENATE stacks them
        maps.append(ops.reshape(ops.transpose(features, (0, 2, 3, 1, 4)), (-1, height, width, count * depth)))
        first += count
    if there is not None:
        maps.append(ops.tile(ops.reshape(there, (-1, 1, 1, len(VIEWS))), (1, height, width, 1)))
    return keras.Model(views, layers.Concatenate(name="stacked")(maps), name="trunks")


def fusion(config: Config, maps: tuple[int, int, int], *, any_views: bool = False) -> keras.Model:
    """What the ensemble learns: stacked maps (batch, 7, 10, 256), or 263 of any views -> (batch, 4) logits.

    Source: Algorithm 1 from CNN_inverted_residual on, Tables 3 and 4; `any_views` is ours.
    """
    stack = keras.Input(maps, name="maps")
    kinds = [(count, getattr(config.network, f"{kind}_maps")) for kind, count in _COUNTS.items()]
    x = ViewDropout(config.fusion.view_dropout, kinds, name="view_dropout")(stack) if any_views else stack
    x = InvertedResidualFusion(
        filters=config.fusion.filters,
        expansion=config.fusion.expansion,
        dropout=config.fusion.dropout,
        name="fusion",
    )(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(stack, layers.Dense(len(CLASSES), name="logits")(x), name="fusion_head")


def ensemble(trunks: keras.Model, head: keras.Model) -> keras.Model:
    """The whole ensemble, `head` after `trunks`: (batch, 7, 224, 298, 3) pixels -> (batch, 4) logits."""
    return keras.Model(trunks.input, head(trunks.output), name="ensemble")


def head_of(whole: keras.Model) -> keras.Model:
    """The head inside an ensemble."""
    return whole.get_layer("fusion_head")


def drop(config: Config, head: keras.Model) -> None:
    """Make a trained head drop as little as fine-tuning does. Takes effect when compiled. Source: sec. 3.5.3."""
    head.get_layer("fusion").dropout = config.fine_tuning.dropout


def unfreeze(whole: keras.Model) -> None:
    """Let the trunks of an ensemble learn too. Takes effect when compiled. Source: sec. 5."""
    for kind in KINDS:
        whole.get_layer(kind).trainable = True


def timed(row: Row) -> keras.Model:
    """The network of a row of Table 7, from random weights and of the paper's size, whatever the study trains."""
    config = published()
    if row.backbone:
        return baseline(config, row.backbone)
    if row.images != CASES:
        return single_view(config, row.images)
    trunks = stacked(config, {kind: trunk(config, kind) for kind in KINDS})
    return ensemble(trunks, fusion(config, trunks.output_shape[1:]))


def published() -> Config:
    """The configuration of the paper's networks, images too, at random weights."""
    initial: dict[str, Any] = dict.fromkeys(BASELINES, "random")
    return Config(weights="random", baselines=Baselines(**initial))
