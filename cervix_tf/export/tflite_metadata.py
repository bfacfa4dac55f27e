"""What Android Studio, Netron and other TFLite Metadata readers show of a .tflite: inputs, classes, version, terms.

Source: metadata_schema.fbs of TensorFlow Lite Support 0.4.4, file identifier M001. Its Python package is no longer
maintained, so the few tables that are needed are written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cervix_tf.contract import Contract
from cervix_tf.export.saved_model import ONE, SIZED

NAME = "TFLITE_METADATA"
"""Name of the model's buffer that holds the metadata."""
LABELS, CONTRACT = "labels.txt", "contract.json"
"""Files packed behind the model that the metadata point to."""
_IDENTIFIER = b"M001"
_DESCRIPTION_FILE, _AXIS_LABELS, _RGB, _IMAGE_PROPERTIES = 1, 2, 1, 2  # values of the schema's enumerations


class _Number(NamedTuple):
    """A number that is stored in the table itself, with the schema's type."""

    type: str
    value: int


def written(contract: Contract, signatures: Mapping[str, str]) -> bytes:
    """The ModelMetadata flatbuffer of a model; `signatures` gives the input's name of each, in the model's order."""
    import flatbuffers  # type: ignore[import-untyped]

    sized = not {SIZED, ONE}.isdisjoint(signatures)
    width, height = (contract.width, contract.height) if sized else (contract.native_width, contract.native_height)
    size = {0: _Number("Uint32", width), 1: _Number("Uint32", height)}
    image = {0: _Number("Uint8", _IMAGE_PROPERTIES), 1: {0: _Number("Int8", _RGB), 1: size}}
    views = f"{len(contract.views)} views in the order {', '.join(contract.views)}, each " if contract.views else ""
    before = f"resized before {contract.resizing}"
    takes = {
        "images": f"{views}an upright RGB image, uint8, {before}, rounded; normalization is inside"
        if sized
        else f"{views}an upright RGB image, uint8, any size; resizing and normalization are inside",
        "pixels": f"{views}RGB pixels of an upright image, float32 in [0, 255], {before}",
    }
    # The schema's numbers of the fields. Table AssociatedFile: name 0, description 1, type 2.
    labels = {0: LABELS, 1: "names of the classes, in order", 2: _Number("Int8", _AXIS_LABELS)}
    terms = {0: CONTRACT, 1: "what the model takes and gives, its terms", 2: _Number("Int8", _DESCRIPTION_FILE)}
    # TensorMetadata: name 0, description 1, content 3, associated files 6.
    classes = ", ".join(contract.classes)
    gives = {0: "probabilities", 1: f"probabilities of {classes}", 6: [labels]}
    if contract.neighbors:
        gives = {
            0: "embeddings",
            1: f"embeddings; the nearest neighbors, in a file beside this, say which of {classes}",
        }
    graphs = [  # SubGraphMetadata: name 0, inputs 2, outputs 3
        {0: name, 2: [{0: given, 1: takes[given], 3: image}], 3: [gives]} for name, given in signatures.items()
    ]
    warning = "SYNTHETIC: learned from drawn images. " if contract.synthetic else ""
    model = {  # ModelMetadata
        0: contract.task,
        1: f"{warning}{contract.intended_use} Developed on {contract.data} (test images included).",
        2: contract.version,
        3: graphs,
        5: contract.license,
        6: [terms],
        7: "1.0.0",  # the oldest reader that knows these fields
    }
    builder = flatbuffers.Builder(1024)
    builder.Finish(_placed(builder, model), _IDENTIFIER)
    return bytes(builder.Output())


def _placed(builder: Any, value: str | list[Any] | dict[int, Any] | _Number) -> Any:
    """What a table stores of `value`: the offset of a text, list or table written before, or the number itself."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        offsets = [_placed(builder, each) for each in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    fields = {slot: _placed(builder, each) for slot, each in value.items()}
    builder.StartObject(max(fields) + 1)
    for slot, field in fields.items():
        if isinstance(field, _Number):
            getattr(builder, f"Prepend{field.type}Slot")(slot, field.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, field, 0)
    return builder.EndObject()
