"""The network of an exported .tflite as LiteRT.js takes it: one signature, every shape known."""

from __future__ import annotations

from cervix_tf.export import flatbuffer, saved_model


def static(model: bytes) -> bytes:
    """The signature `pixels` of a .tflite alone, for one input: (1, [views,] height, width, 3) float32, resized before.

    Weights and operations stay as they are, so it computes what `cervix_tf.predict` does, 8-bit files too.
    """
    from ai_edge_litert.interpreter import Interpreter

    whole = flatbuffer.unpacked(model)
    (signature,) = (each for each in whole.signatureDefs if each.signatureKey.decode() == saved_model.PIXELS)
    graph = whole.subgraphs[signature.subgraphIndex]
    signature.subgraphIndex = 0
    whole.signatureDefs, whole.subgraphs, whole.metadata = [signature], [graph], None
    used = {at: place for place, at in enumerate(sorted({0, *(each.buffer for each in graph.tensors)}))}
    whole.buffers = [whole.buffers[at] for at in used]  # the first is empty by the schema
    for tensor in graph.tensors:
        tensor.buffer, tensor.shapeSignature = used[tensor.buffer], None
    # The converter wrote 1 for every size that it did not know; the interpreter works out what they are.
    interpreter = Interpreter(model_content=flatbuffer.packed(whole))
    interpreter.allocate_tensors()
    for each in interpreter.get_tensor_details():
        if each["index"] < len(graph.tensors):  # the others are the delegate's own
            graph.tensors[each["index"]].shape = each["shape"]
    return flatbuffer.packed(whole)
