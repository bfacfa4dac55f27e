"""The model as users get it: uint8 images of any size in, probabilities (or embeddings) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from cervix_tf.contract import Contract


def serving_model(network: keras.Model, contract: Contract, activation: str = "softmax") -> keras.Model:
    """(batch, [views,] any height, any width, 3) uint8 -> (batch, classes) float32 probabilities.

    `network` takes float pixels at the contract's size and gives logits, which
    `activation` turns into probabilities; where the contract names neighbors, it gives
    embeddings, which stay as they are: (batch, features) float32. Weights are shared, not copied.
    """
    import keras

    from cervix_tf.layers.resize_pixels import ResizePixels

    views = (len(contract.views),) if contract.views else ()
    expected = (None, *views, contract.height, contract.width, 3)
    fits = bool(contract.neighbors) or network.output_shape[-1] == len(contract.classes)
    if tuple(network.input_shape) != expected or not fits:
        raise ValueError(
            f"the network maps {network.input_shape} to {network.output_shape}, "
            f"the contract says {expected} to {len(contract.classes)} classes"
        )
    images = keras.Input((*views, None, None, 3), dtype="uint8", name="images")
    resize = ResizePixels(contract.height, contract.width, contract.supersampling, name="resize")
    outputs = _uncompiled(network)(resize(images))
    last = "linear" if contract.neighbors else activation
    given = keras.layers.Activation(last, dtype="float32", name=contract.output)(outputs)
    return keras.Model(images, given, name="serving")


def _uncompiled(network: keras.Model) -> keras.Model:
    """The same layers, weights shared, in models that were never compiled, nested ones included.

    A compiled model would bring its optimizer's state, twice the weights, and its
    metrics, whose classes every reader of the file would have to import first.
    """
    import keras

    def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
        return _uncompiled(layer) if isinstance(layer, keras.Model) and layer.inputs else layer

    same_graph = keras.Model(network.input, network.output, name=network.name)
    return keras.models.clone_model(same_graph, clone_function=plain)
