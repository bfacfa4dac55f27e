"""The serving model in ONNX, for ONNX Runtime, with its contract inside; written by Keras' own exporter.

What travels inside are entries of the model's `metadata_props`, which every reader of ONNX shows as names and texts.
They stand at the end of the file, the contract last, so that the digest in it covers all bytes before it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cervix_tf import bounded
from cervix_tf import contract as contracts
from cervix_tf.data import seen as seen_data
from cervix_tf.errors import InputError
from cervix_tf.export.associated_files import Associated
from cervix_tf.export.tflite_metadata import CONTRACT

if TYPE_CHECKING:
    import keras

    from cervix_tf.contract import Contract
    from cervix_tf.data.seen import Seen

_SEEN = "seen.json"
_MODEL = "model"  # stands in the digest for the bytes before the contract
_METADATA, _KEY, _VALUE = 14, 1, 2  # fields of ModelProto and of StringStringEntryProto in onnx.proto
_TEXT = 2  # wire type of what has a length


def check_installed() -> None:
    """Raise `InputError` unless the packages are here that write ONNX."""
    for name in ("tf2onnx", "onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise InputError(f"onnx: needs the package {name}; in a checkout: pip install -e '.[onnx]'")


def convert(serving: keras.Model, contract: Contract, seen: Seen | None = None) -> bytes:
    """The bytes of an .onnx file: `images`, (batch, [views,] height, width, 3) uint8 of any size, to `contract.output`.

    `serving` is what `cervix_tf.export.serving.serving_model` gives.
    """
    import keras
    import onnx

    views = ("views",) if contract.views else ()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Keras' own look at a name that NumPy will take back
            signature = [keras.InputSpec(dtype="uint8", shape=serving.input_shape, name="images")]
            serving.export(str(path), format="onnx", verbose=False, input_signature=signature)
        model = onnx.load(path)
    (given,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = [contract.output if name == given.name else name for name in node.output]
        node.input[:] = [contract.output if name == given.name else name for name in node.input]
    given.name = contract.output
    for value, names in ((model.graph.input[0], ("batch", *views, "height", "width")), (given, ("batch",))):
        for side, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if not side.dim_value:
                side.dim_param = name
    model.ClearField("metadata_props")
    content = model.SerializeToString() + (_entry(_SEEN, seen.text()) if seen else b"")
    sealed = contract.sealed({_MODEL: hashlib.sha256(content).hexdigest()})
    return content + _entry(CONTRACT, sealed.text())


def read(path: Path) -> Associated:
    """What an .onnx file says of itself, once its digest has shown that it is whole.

    Raises `InputError` when it holds no contract at its end, or is not what was exported.
    """
    try:
        bounded.check_model(bounded.size(path))
        content = path.read_bytes()
    except bounded.Unreadable as error:
        raise InputError(f"{path}: {error}; copy it again or export the run again") from None
    found = _last(content, CONTRACT)
    if found is None:
        raise InputError(
            f"{path}: truncated, or not written by `python -m cervix_tf.export`: no contract at its end; "
            "copy it again or export the run again"
        )
    before, text = found
    contract = contracts.parse(text, f"{path}: {CONTRACT}")
    contract.check_seal({_MODEL: hashlib.sha256(before).hexdigest()}, str(path))
    kept = _last(before, _SEEN)
    return Associated(contract, seen_data.parse(kept[1], f"{path}: {_SEEN}") if kept else None)


def session(path: Path, threads: int) -> Any:
    """ONNX Runtime with the model, on the processor. Raises `InputError` when it is not here or cannot run it."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{path}: needs the package onnxruntime; in a checkout: pip install -e '.[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class of their own
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a model that ONNX Runtime can run ({first}); export the run again") from None


def _entry(name: str, text: str) -> bytes:
    """One entry of `metadata_props`, as it stands in a serialized model: such a model may be appended to."""
    return _field(_METADATA, _field(_KEY, name.encode()) + _field(_VALUE, text.encode()))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _TEXT) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _last(content: bytes, name: str) -> tuple[bytes, bytes] | None:
    """What stands before the entry of that name at the end of `content`, and the entry's text; None = no such entry."""
    key, tag = _field(_KEY, name.encode()), _varint(_VALUE << 3 | _TEXT)
    begin = content.rfind(key + tag)
    if begin < 0:
        return None
    at = begin + len(key + tag)
    while at < len(content) and content[at] > 0x7F:  # all but the last byte of the text's length
        at += 1
    text = content[at + 1 :]
    entry = _field(_METADATA, key + _field(_VALUE, text))
    return (content[: -len(entry)], text) if content.endswith(entry) else None
