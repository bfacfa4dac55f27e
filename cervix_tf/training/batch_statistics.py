"""The moving statistics of batch normalization, measured instead of trained."""

from __future__ import annotations

import keras
import tensorflow as tf


def normalizations(network: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    """The batch normalizations of a network or layer, those of networks inside it too."""
    return [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def measure(network: keras.Model, batches: tf.data.Dataset) -> None:
    """Set the moving statistics to the mean of those of `batches` of (pixels, ...), what they were before is forgotten.

    Nothing else of the network changes, save the counters of random layers.
    """  # fmt: skip
    layers = normalizations(network)
    momenta = [layer.momentum for layer in layers]
    try:
        for seen, (pixels, *_) in enumerate(batches):
            for layer in layers:
                layer.momentum = seen / (seen + 1)  # the running mean; what training sees does not depend on it
            network(pixels, training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
