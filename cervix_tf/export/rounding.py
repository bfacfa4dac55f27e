"""Weights rounded to 8 bits so that the errors cancel, and biases that make up for what is left.

Rounding a convolution's weights adds, to each output channel, the sum of the rounding
errors times the inputs. Inputs after ReLU6 are far from zero on average and, in images,
nearly the same at neighboring pixels, so the nine errors of a depthwise kernel add up
to a shift of the whole channel. Two remedies, both before the converter rounds:

- a depthwise kernel is rounded so that its sum is kept to half a step, which no constant
  input can tell from the unrounded one;
- what the errors add on average over typical inputs is taken off the bias.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, sec. 4.2.
Departs: mean inputs are measured, not computed from batch normalization; kernels keep their sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from cervix_tf import processor
from cervix_tf.export import flatbuffer

_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Axis of a kernel along which TFLite has one 8-bit scale a channel."""
_STEPS = 127
"""Steps from zero to a channel's largest weight: TFLite rounds weights symmetrically to [-127, 127]."""


def rounded(model: bytes, signature: str, inputs: Iterable[np.ndarray]) -> bytes:
    """`model`, a float .tflite, with convolutions whose weights 8 bits hold exactly, and biases corrected for that.

    `inputs` are typical inputs of `signature`, without the batch axis.
    """
    whole = flatbuffer.unpacked(model)
    index = next(each.subgraphIndex for each in whole.signatureDefs if each.signatureKey.decode() == signature)
    graph = whole.subgraphs[index]
    convolutions = _convolutions(whole, graph)
    means = _means(model, signature, index, {each.inputs[0] for each in convolutions}, inputs)
    for each in convolutions:
        kind = flatbuffer.operator(whole, each)
        kernel, bias = (graph.tensors[tensor] for tensor in each.inputs[1:])
        weights = _values(whole, kernel)
        on_grid = _on_grid(weights, _OUTPUT_AXIS[kind], keep_sums=kind == "DEPTHWISE_CONV_2D")
        mean = means[each.inputs[0]]
        error = (on_grid - weights) * mean  # input channels are the last axis of both kinds of kernel
        shift = error.sum(axis=(0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (1, 2, 3))
        _set(whole, kernel, on_grid)
        _set(whole, bias, _values(whole, bias) - shift)
    return flatbuffer.packed(whole)


def _convolutions(whole: Any, graph: Any) -> list[Any]:
    """The convolutions whose float weights and bias are constants that nothing else uses."""
    uses = Counter(graph.tensors[tensor].buffer for each in graph.operators for tensor in each.inputs)

    def own(tensor: Any) -> bool:
        return tensor.type == 0 and whole.buffers[tensor.buffer].data is not None and uses[tensor.buffer] == 1

    return [
        each
        for each in graph.operators
        if flatbuffer.operator(whole, each) in _OUTPUT_AXIS
        and len(each.inputs) == 3
        and all(own(graph.tensors[tensor]) for tensor in each.inputs[1:])
        and getattr(each.builtinOptions, "depthMultiplier", 1) == 1
    ]


def _means(
    model: bytes, signature: str, index: int, tensors: set[int], inputs: Iterable[np.ndarray]
) -> dict[int, np.ndarray]:
    """Mean of each channel of `tensors`, (channels,) each, over `inputs`."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        num_threads=processor.here().cores,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    run = interpreter.get_signature_runner(signature)
    (name,) = run.get_input_details()
    sums: dict[int, np.ndarray] = {}
    count = 0
    for count, each in enumerate(inputs, 1):  # noqa: B007
        run(**{name: each[None]})
        for tensor in tensors:
            values = interpreter.get_tensor(tensor, index)
            sums[tensor] = sums.get(tensor, 0) + values.mean(axis=(0, 1, 2), dtype=np.float64)
    return {tensor: total / count for tensor, total in sums.items()}


def _on_grid(weights: np.ndarray, axis: int, keep_sums: bool) -> np.ndarray:
    """The weights at whole steps of their channel's largest; with `keep_sums` each channel's sum to half a step."""
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    step = np.abs(rows).max(axis=1, keepdims=True) / _STEPS
    exact = np.divide(rows, step, out=np.zeros_like(rows), where=step > 0)
    whole = np.rint(exact)
    if keep_sums:
        missing = np.rint((exact - whole).sum(axis=1)).astype(int)
        for row, count in enumerate(missing):
            # The weights that were rounded the most against what is missing go one step the other way.
            order = np.argsort(np.sign(count) * (whole[row] - exact[row]))
            whole[row, order[: abs(count)]] += np.sign(count)
        whole = whole.clip(-_STEPS, _STEPS)
    shape = np.moveaxis(weights, axis, 0).shape
    return np.moveaxis((whole * step).reshape(shape), 0, axis).astype(np.float32)


def _values(whole: Any, tensor: Any) -> np.ndarray:
    return np.frombuffer(bytes(whole.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)


def _set(whole: Any, tensor: Any, values: np.ndarray) -> None:
    whole.buffers[tensor.buffer].data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
