"""TFLite files read and rewritten through their schema."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

_ALIGNMENT = 16
_HEAVY = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_FEW = 2**15  # weights of a last layer that may stay in float: 128 kB


def unpacked(model: bytes) -> Any:
    """The model as the schema's objects."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(model, 0)


def operator(model: Any, one: Any) -> str:
    """Name of one operation of an unpacked model; of a custom or Flex one `custom:name`."""
    code = model.operatorCodes[one.opcodeIndex]
    if code.customCode:
        return f"custom:{code.customCode.decode()}"
    return _operator_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]


def operators(model: bytes) -> Counter[str]:
    """How often each operation occurs, over all signatures; custom and Flex ones as `custom:name`."""
    whole = unpacked(model)
    return Counter(operator(whole, each) for graph in whole.subgraphs for each in graph.operators)


@functools.cache
def _operator_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def inputs(model: bytes) -> dict[str, str]:
    """Signature -> name of its one input, in the order of the model's graphs."""
    ordered = sorted(unpacked(model).signatureDefs, key=lambda each: each.subgraphIndex)
    return {each.signatureKey.decode(): each.inputs[0].name.decode() for each in ordered}


def edges(model: bytes) -> list[str]:
    """Names of the tensors that are computed before the first, or after the last, operation with many weights.

    That is resizing, normalization and the like, and pooling, logits and softmax: hardly
    any work, but every case passes through these few numbers.
    """
    whole = unpacked(model)
    names: list[str] = []
    for graph in whole.subgraphs:
        constant = [whole.buffers[tensor.buffer].data is not None for tensor in graph.tensors]
        early = set(graph.inputs)
        for each in graph.operators:
            taken = [tensor for tensor in each.inputs if tensor >= 0 and not constant[tensor]]
            if operator(whole, each) not in _HEAVY and early.issuperset(taken):
                early.update(each.outputs)
        late = set(graph.outputs)
        needed: set[int] = set()  # what operations that are not late read
        found = []
        for each in reversed(graph.operators):
            small = operator(whole, each) == "FULLY_CONNECTED" and graph.tensors[each.inputs[1]].shape.prod() <= _FEW
            light = small or operator(whole, each) not in _HEAVY
            if light and late.issuperset(each.outputs) and needed.isdisjoint(each.outputs):
                late.update(each.inputs)
                found.extend(each.outputs)  # += would add the arrays
            else:
                needed.update(each.inputs)
        names += [graph.tensors[at].name.decode() for at in [*(early - set(graph.inputs)), *found]]
    return list(dict.fromkeys(names))


def compacted(model: bytes, metadata: Mapping[str, bytes] | None = None) -> bytes:
    """The same model with equal tables of numbers written once and inner tensors' names left out.

    Quantization tables are repeated by every signature, and most are zeros: a tenth or
    more of a small 8-bit file. `metadata` are added as named buffers.
    """
    from ai_edge_litert import schema_py_generated as schema

    whole = unpacked(model)
    for graph in whole.subgraphs:
        outside = {*graph.inputs, *graph.outputs}
        for at, tensor in enumerate(graph.tensors):
            if at not in outside:
                tensor.name = None
    for name, content in (metadata or {}).items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(whole.buffers)
        whole.buffers.append(buffer)
        whole.metadata = [*(whole.metadata or []), entry]
    return packed(whole)


def packed(model: Any) -> bytes:
    """The bytes of an unpacked model, equal tables of numbers written once."""
    import flatbuffers  # type: ignore[import-untyped]

    class SharingBuilder(flatbuffers.Builder):
        """Writes equal vectors once, at multiples of 16 bytes as the schema asks of weights."""

        def __init__(self, size):
            super().__init__(size)
            self.written = {}

        def CreateNumpyVector(self, x):
            key = (x.dtype.str, x.tobytes())
            if key not in self.written:
                self.Prep(_ALIGNMENT, x.nbytes)
                self.written[key] = super().CreateNumpyVector(x)
            return self.written[key]

    builder = SharingBuilder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
