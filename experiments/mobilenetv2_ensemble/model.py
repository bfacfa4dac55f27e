"""The networks of the study, put together from the library's layers."""

from __future__ import annotations

import keras
from keras import layers, ops

from cervix_tf.layers import InvertedResidualFusion
from cervix_tf.models.mobilenet_v2 import mobilenet_v2
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS, VIEWS, Config


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


def stacked(config: Config, trunks: dict[str, keras.Model]) -> keras.Model:
    """The stacked maps of seven views: (batch, 7, 224, 298, 3) pixels -> (batch, 7, 10, 256).

    The five acetic views go through their trunk in one call, folded into the batch.
    Trunks are frozen.

    Source: Algorithm 1 up to CONCATENATE.
    """
    views = keras.Input((len(VIEWS), config.images.height, config.images.width, 3), name="views")
    maps, first = [], 0
    for kind in KINDS:
        count = sum(view.startswith(kind) for view in VIEWS)
        network = trunks[kind]
        network.trainable = False
        height, width, depth = network.output_shape[1:]
        folded = ops.reshape(views[:, first : first + count], (-1, *network.input_shape[1:]))
        found = ops.reshape(network(folded), (-1, count, height, width, depth))
        # (batch, views, h, w, maps) -> (batch, h, w, views * maps): view after view, as CONCATENATE stacks them
        maps.append(ops.reshape(ops.transpose(found, (0, 2, 3, 1, 4)), (-1, height, width, count * depth)))
        first += count
    return keras.Model(views, layers.Concatenate(name="stacked")(maps), name="trunks")


def fusion(config: Config, maps: tuple[int, int, int]) -> keras.Model:
    """What the ensemble learns: stacked maps (batch, 7, 10, 256) -> (batch, 4) logits.

    Source: Algorithm 1 from CNN_inverted_residual on, Tables 3 and 4.
    """
    found = keras.Input(maps, name="maps")
    x = InvertedResidualFusion(
        filters=config.fusion.filters,
        expansion=config.fusion.expansion,
        dropout=config.fusion.dropout,
        name="fusion",
    )(found)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(found, layers.Dense(len(CLASSES), name="logits")(x), name="fusion_head")


def ensemble(trunks: keras.Model, head: keras.Model) -> keras.Model:
    """The whole ensemble, `head` after `trunks`: (batch, 7, 224, 298, 3) pixels -> (batch, 4) logits."""
    return keras.Model(trunks.input, head(trunks.output), name="ensemble")
