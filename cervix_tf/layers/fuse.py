"""Copies of a network with faster layers, and in full precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from cervix_tf.layers.bfloat16_depthwise_conv2d import Bfloat16DepthwiseConv2D
from cervix_tf.layers.bfloat16_relu6 import Bfloat16ReLU6
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.layers.gelu_dense import GELUDense
from cervix_tf.layers.strided_pointwise_conv2d import StridedPointwiseConv2D, is_strided_pointwise

_FASTER = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.DepthwiseConv2D: Bfloat16DepthwiseConv2D,
    keras.layers.ReLU: Bfloat16ReLU6,
}


def fuse(model: keras.Model, momentum: float | None = None) -> keras.Model:
    """A copy of a functional or sequential model with faster layers, the same weights and the same output.

    Batch normalization becomes one operation, so does GELU, layers that TensorFlow computes
    slowly in bfloat16 or with strides are replaced, and zero padding before a convolution
    becomes the convolution's own where that is the same. Models inside the model are copied
    too; layer names stay, so weight files fit both. Layers inside a layer of another kind
    stay as they are.

    `momentum` replaces that of every normalization layer: `keras.applications` use
    0.999 or 0.99, too slow for a few hundred steps; PyTorch's default is 0.9 in
    Keras' terms. None keeps each layer's own.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization) and momentum is not None:
            config["momentum"] = momentum
        if _padded_as_same(layer):
            return keras.layers.Identity(name=layer.name)
        if any(_padded_as_same(node.operation) for node in _before(layer)):
            config["padding"] = "same"
        kind: Any = type(layer)
        if kind is keras.layers.Dense and layer.activation is keras.activations.gelu:
            return GELUDense.from_config(config)
        if kind is keras.layers.Conv2D and is_strided_pointwise(layer):
            return StridedPointwiseConv2D.from_config(config)
        return _FASTER.get(kind, kind).from_config(config)

    return _copy(model, copied)


def in_float32(model: keras.Model) -> keras.Model:
    """A functional or sequential model in float32: itself where it computes in that, else a copy with the same weights.

    For a network that was trained under a mixed-precision policy: its weights are float32
    already, its arithmetic is not.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        # An operation between layers (keras.ops.flip) has no precision of its own.
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    return model if _computes_in_float32(model) else _copy(model, copied)


def _computes_in_float32(model: keras.Model) -> bool:
    """Whether its layers do; the model's own policy is that of the moment when it was put together."""
    return all(
        _computes_in_float32(layer) if isinstance(layer, keras.Model) else layer.compute_dtype == "float32"
        for layer in model.layers
        if layer.weights
    )


def _copy(model: keras.Model, copied: Callable[[keras.layers.Layer], keras.layers.Layer]) -> keras.Model:
    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _padded_as_same(layer: keras.layers.Layer) -> bool:
    """Whether this pads with what a convolution with padding "same", the only one that reads it, adds itself."""
    if not isinstance(layer, keras.layers.ZeroPadding2D) or layer.data_format != "channels_last":
        return False
    after = layer._outbound_nodes
    if len(after) != 1 or not isinstance(after[0].operation, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        return False
    convolution = after[0].operation
    shared = len(convolution._inbound_nodes) > 1  # it reads other maps too, which would be padded with these
    if shared or convolution.padding != "valid" or convolution.dilation_rate != (1, 1):
        return False
    sides = zip(layer.input.shape[1:3], convolution.kernel_size, convolution.strides, layer.padding, strict=True)
    for size, kernel, stride, padding in sides:
        if size is None:
            return False
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        if padding != (total // 2, total - total // 2):
            return False
    return True


def _before(layer: keras.layers.Layer) -> list:
    """The nodes whose output the layer reads; none when it is used more than once."""
    used = layer._inbound_nodes
    return used[0].parent_nodes if len(used) == 1 else []
