"""The network of an exported .tflite as LiteRT.js takes it: one signature, every shape known."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from cervix_tf.export import associated_files, flatbuffer, tflite_metadata
from cervix_tf.export.saved_model import ONE, PIXELS

_WHOLE = (2, 4)  # types of the schema: int32, int64


def of(path: Path) -> bytes:
    """The bytes of a web file, of a .tflite of several signatures or of a web file itself; contract and labels inside.

    Raises `InputError` when the file is damaged or not of cervix_tf.
    """
    contract, seen = associated_files.read(path)
    model = path.read_bytes()
    if ONE in flatbuffer.inputs(model):
        return model
    model = static(model)
    described = {tflite_metadata.NAME: tflite_metadata.written(contract, flatbuffer.inputs(model))}
    return associated_files.appended(flatbuffer.compacted(model, described), contract, seen)


def static(model: bytes) -> bytes:
    """The signature `pixels` of a .tflite alone, as `one`: (1, [views,] height, width, 3) float32, resized before.

    Weights and arithmetic stay as they are, so it computes what `cervix_tf.predict` does, 8-bit files too. What only
    works out sizes, which are known now, is replaced by its result: WebGPU and XNNPACK take no tensor of unknown size.
    """
    whole = flatbuffer.unpacked(model)
    (signature,) = (each for each in whole.signatureDefs if each.signatureKey.decode() == PIXELS)
    graph = whole.subgraphs[signature.subgraphIndex]
    signature.signatureKey, signature.subgraphIndex = ONE.encode(), 0
    whole.signatureDefs, whole.subgraphs, whole.metadata = [signature], [graph], None
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    _fold(whole, graph)
    used = {at: place for place, at in enumerate(sorted({0, *(each.buffer for each in graph.tensors)}))}
    whole.buffers = [whole.buffers[at] for at in used]  # the first is empty by the schema
    for tensor in graph.tensors:
        tensor.buffer = used[tensor.buffer]
    return flatbuffer.packed(whole)


def _fold(whole: Any, graph: Any) -> None:
    """Write down every shape, where the converter wrote 1 for what it did not know, and what follows from shapes."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that keeping every tensor takes memory
        interpreter = Interpreter(model_content=flatbuffer.packed(whole), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    interpreter.invoke()
    for each in interpreter.get_tensor_details():
        if each["index"] < len(graph.tensors):  # the others are a delegate's own
            graph.tensors[each["index"]].shape = each["shape"]
    known = {at for at, tensor in enumerate(graph.tensors) if whole.buffers[tensor.buffer].data is not None}
    left = []
    for each in graph.operators:
        whole_numbers = all(graph.tensors[at].type in _WHOLE for at in each.outputs)  # float ones are packed weights
        if not whole_numbers or not (flatbuffer.operator(whole, each) == "SHAPE" or known.issuperset(each.inputs)):
            left.append(each)
            continue
        for at in each.outputs:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(interpreter.get_tensor(at).tobytes(), np.uint8)
            graph.tensors[at].buffer = len(whole.buffers)
            whole.buffers.append(buffer)
            known.add(at)
    graph.operators = left
