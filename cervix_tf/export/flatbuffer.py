"""TFLite files read and rewritten through their schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

_ALIGNMENT = 16


def operators(model: bytes) -> Counter[str]:
    """How often each operation occurs, over all signatures; custom and Flex ones as `custom:name`."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    unpacked = schema.ModelT.InitFromPackedBuf(model, 0)

    def name(index: int) -> str:
        code = unpacked.operatorCodes[index]
        if code.customCode:
            return f"custom:{code.customCode.decode()}"
        return names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    return Counter(name(each.opcodeIndex) for graph in unpacked.subgraphs for each in graph.operators)


def inputs(model: bytes) -> dict[str, str]:
    """Signature -> name of its one input, in the order of the model's graphs."""
    from ai_edge_litert import schema_py_generated as schema

    signatures = schema.ModelT.InitFromPackedBuf(model, 0).signatureDefs
    ordered = sorted(signatures, key=lambda each: each.subgraphIndex)
    return {each.signatureKey.decode(): each.inputs[0].name.decode() for each in ordered}


def compacted(model: bytes, metadata: Mapping[str, bytes] | None = None) -> bytes:
    """The same model with equal tables of numbers written once and inner tensors' names left out.

    Quantisation tables are repeated by every signature, and most are zeros: a tenth or
    more of a small 8-bit file. `metadata` are added as named buffers.
    """
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert import schema_py_generated as schema

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

    unpacked = schema.ModelT.InitFromPackedBuf(model, 0)
    for graph in unpacked.subgraphs:
        outside = {*graph.inputs, *graph.outputs}
        for at, tensor in enumerate(graph.tensors):
            if at not in outside:
                tensor.name = None
    for name, content in (metadata or {}).items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(unpacked.buffers)
        unpacked.buffers.append(buffer)
        unpacked.metadata = [*(unpacked.metadata or []), entry]
    builder = SharingBuilder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())
