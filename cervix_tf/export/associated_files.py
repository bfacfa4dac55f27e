"""Files that travel inside a .tflite: a zip behind the model, as the TFLite Metadata format packs associated files.

TFLite reads the model from the front and a zip reader reads the files from the back of the same file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cervix_tf import bounded
from cervix_tf import contract as contracts
from cervix_tf.contract import Contract
from cervix_tf.data import seen as seen_data
from cervix_tf.data.seen import Seen
from cervix_tf.errors import InputError
from cervix_tf.export.tflite_metadata import CONTRACT, LABELS

_SEEN = "seen.json"
_MODEL = "model"  # stands in the digest for the bytes before the zip
_IDENTIFIER = b"TFL3"
_BYTES = 128 << 20


class Associated(NamedTuple):
    """What a .tflite says of itself."""

    contract: Contract
    seen: Seen | None
    """What the model was trained and chosen on, where its run said so."""


def appended(model: bytes, contract: Contract, seen: Seen | None = None) -> bytes:
    """`model` followed by a zip of labels.txt, license.txt, intended_use.txt, seen.json and contract.json, sealed."""
    files = {
        LABELS: "".join(f"{name}\n" for name in contract.classes),
        "license.txt": f"{contract.license}\n",
        "intended_use.txt": f"{contract.intended_use}\n",
        **({_SEEN: seen.text()} if seen else {}),
    }
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    files[CONTRACT] = contract.sealed({**digests, _MODEL: hashlib.sha256(model).hexdigest()}).text()
    whole = io.BytesIO()
    whole.write(model)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # ZipInfo's fixed date: same model, same bytes
    return whole.getvalue()


def read(path: Path) -> Associated:
    """What a .tflite file says of itself, once its digest has shown that it is whole.

    Raises `InputError` when the file is no TFLite model, holds no contract, or is not
    what was exported.
    """
    try:
        bounded.check_model(bounded.size(path))
        with path.open("rb") as file:
            if file.read(8)[4:] != _IDENTIFIER:
                raise InputError(f"{path}: not a TFLite model; give a .tflite that `python -m cervix_tf.export` wrote")
            files, digests = _unpacked(file)
    except bounded.Unreadable as error:
        raise InputError(
            f"{path}: truncated, or not written by `python -m cervix_tf.export`: no contract inside ({error}); "
            "copy it again or export the run again"
        ) from None
    contract = contracts.parse(files[CONTRACT], f"{path}: {CONTRACT}")
    contract.check_seal(digests, str(path))
    seen = seen_data.parse(files[_SEEN], f"{path}: {_SEEN}") if _SEEN in files else None
    return Associated(contract, seen)


def _unpacked(file: BinaryIO) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files in the zip, and the digests of all but the contract and of the model before the zip."""
    with bounded.open_zip(file, _BYTES) as archive:
        files = {name: bounded.member(archive, name) for name in archive.namelist()}
        if CONTRACT not in files:
            raise bounded.Unreadable(f"its archive has no {CONTRACT}")
        begin = min(entry.header_offset for entry in archive.infolist())
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != CONTRACT}
    file.seek(0)
    model = hashlib.sha256()
    while part := file.read(min(begin - file.tell(), 1 << 20)):
        model.update(part)
    return files, {**digests, _MODEL: model.hexdigest()}
