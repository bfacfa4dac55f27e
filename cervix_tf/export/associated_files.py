"""Files that travel inside a .tflite: a zip behind the model, as the TFLite Metadata format packs associated files.

TFLite reads the model from the front and a zip reader reads the files from the back of the same file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from cervix_tf import contract as contracts
from cervix_tf.contract import Contract
from cervix_tf.errors import InputError
from cervix_tf.export.tflite_metadata import CONTRACT, LABELS

_DIGEST = "model.sha256"
_IDENTIFIER = b"TFL3"


def appended(model: bytes, contract: Contract) -> bytes:
    """`model` followed by a zip of labels.txt, contract.json, licence.txt, intended_use.txt and model.sha256."""
    files = {
        LABELS: "".join(f"{name}\n" for name in contract.classes),
        CONTRACT: contract.text(),
        "licence.txt": f"{contract.licence}\n",
        "intended_use.txt": f"{contract.intended_use}\n",
        _DIGEST: hashlib.sha256(model).hexdigest() + "\n",
    }
    whole = io.BytesIO()
    whole.write(model)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # ZipInfo's fixed date: same model, same bytes
    return whole.getvalue()


def read_contract(path: Path) -> Contract:
    """The contract inside a .tflite file.

    Raises `InputError` when the file is no TFLite model, holds no contract, or is not
    the bytes that were exported.
    """
    data = path.read_bytes()
    if data[4:8] != _IDENTIFIER:
        raise InputError(f"{path}: not a TFLite model; give a .tflite that `python -m cervix_tf.export` wrote")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            begin = min(entry.header_offset for entry in archive.infolist())
            digest = archive.read(_DIGEST).decode().strip()
            text = archive.read(CONTRACT)
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise InputError(
            f"{path}: truncated, or not written by `python -m cervix_tf.export`: no contract inside; "
            "copy it again or export the run again"
        ) from None
    if hashlib.sha256(memoryview(data)[:begin]).hexdigest() != digest:
        raise InputError(f"{path}: damaged, its bytes are not those that were exported; copy it again")
    return contracts.parse(text, f"{path}: {CONTRACT}")
