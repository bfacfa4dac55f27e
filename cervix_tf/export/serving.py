"""The model as users get it: uint8 images of any size in, probabilities (or embeddings) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cervix_tf.decision import Calibration

if TYPE_CHECKING:
    import keras

    from cervix_tf.contract import Contract

_SCALED = "calibrated_logits"


def serving_model(network: keras.Model, contract: Contract, activation: str = "softmax") -> keras.Model:
    """(batch, [views,] any height, any width, 3) uint8 -> (batch, classes) float32 probabilities.

    `network` takes float pixels at the contract's size and gives logits, which
    `activation` turns into probabilities; where the contract names neighbors, it gives
    embeddings, which stay as they are: (batch, features) float32. The contract's calibration comes before the
    activation. Weights are shared, not copied.
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
    outputs = _scaled(_uncompiled(network)(resize(images)), contract.calibration)
    last = "linear" if contract.neighbors else activation
    given = keras.layers.Activation(last, dtype="float32", name=contract.output)(outputs)
    return keras.Model(images, given, name="serving")


def calibrated(serving: keras.Model, calibration: Calibration | None) -> keras.Model:
    """The serving model with this calibration before its last activation, in place of any that it has; None = without.

    Weights are shared, not copied.
    """
    import keras

    images, resize, network, *_, last = serving.layers
    outputs = _scaled(network(resize(images.output)), calibration)
    given = keras.layers.Activation(last.activation, dtype="float32", name=last.name)(outputs)
    return keras.Model(images.output, given, name=serving.name)


def _scaled(logits: keras.KerasTensor, calibration: Calibration | None) -> keras.KerasTensor:
    import keras

    if calibration is None:
        return logits
    if len(set(calibration.scale)) > 1:  # scaled alike, logits do as well as log-probabilities
        logits = keras.layers.Activation("log_softmax", dtype="float32", name="log_probabilities")(logits)
    scale, bias = [*calibration.scale], [*calibration.bias]
    return keras.layers.Rescaling(scale, bias, dtype="float32", name=_SCALED)(logits)


def calibration_of(serving: keras.Model) -> Calibration | None:
    """The calibration inside a serving model; its method is the simplest that its numbers allow."""
    layer = next((each for each in serving.layers if each.name == _SCALED), None)
    if layer is None:
        return None
    scale, bias = tuple(map(float, layer.scale)), tuple(map(float, layer.offset))
    method = "vector" if len(set(scale)) > 1 else "platt" if any(bias) else "temperature"
    return Calibration(method, scale, bias)


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
