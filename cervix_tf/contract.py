"""What an exported model takes and gives, and what it is for: it travels with every exported file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from cervix_tf.errors import InputError
from cervix_tf.run_dir import write_json


@dataclass(frozen=True)
class Contract:
    """Input, output and terms of one model. Travels as contract.json."""

    task: str
    """Name of the study."""
    classes: tuple[str, ...]
    """Names of the output probabilities, in order."""
    positive: tuple[str, ...]
    """Classes that count as positive in the binary reading; may be empty."""
    views: tuple[str, ...]
    """Views that make one input, in order; empty = a single image."""
    height: int
    """Pixels inside the network; the model resizes to it."""
    width: int
    native_height: int
    """Pixels of the images it was made for; the fixed-shape signature takes this size."""
    native_width: int
    version: str
    """Of cervix_tf, which made the model."""
    licence: str
    intended_use: str
    data: str
    """What it was trained on."""
    synthetic: bool
    """Trained on drawn images: good for trying the software, for nothing else."""
    stand_in: bool
    """Trained on another data set than the paper's."""
    neighbours: str = ""
    """Digest of the neighbours that turn the model's embeddings into probabilities (see
    `cervix_tf.metrics.neighbors`); empty = the model gives probabilities itself."""

    @property
    def output(self) -> str:
        """Name of what every signature of the exported model gives."""
        return "embeddings" if self.neighbours else "probabilities"

    @property
    def image_files(self) -> int:
        """Image files that make one input."""
        return len(self.views) or 1

    def text(self) -> str:
        """The contract as JSON text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write contract.json, whole or not at all."""
        write_json(path, asdict(self))


def read(path: Path) -> Contract:
    """The contract in a contract.json file.

    Raises `InputError` when it is missing or says something else than a contract does.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; was this model exported by cervix_tf?") from None
    return parse(raw, str(path))


def parse(raw: bytes, name: str) -> Contract:
    """The contract in the bytes of a contract.json; `name` stands for it in messages. Raises `InputError`."""
    try:
        value = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{name}: not readable as JSON ({error}); export the model again") from None
    names = [field.name for field in fields(Contract)]
    if not isinstance(value, dict) or set(value) != set(names):
        missing = ", ".join(sorted(set(names) - set(value))) if isinstance(value, dict) else "everything"
        raise InputError(
            f"{name}: no contract of this version (lacks: {missing or 'nothing, but has more'}); export again"
        )
    kinds = get_type_hints(Contract)
    given: dict[str, Any] = {}
    for field in names:
        kind, each = kinds[field], value[field]
        if get_origin(kind) is tuple:
            wrong = not isinstance(each, list) or not all(isinstance(part, str) for part in each)
            each = tuple(each) if not wrong else each
        else:
            wrong = type(each) is not kind
        if wrong:
            raise InputError(f"{name}: {field} {each!r}: is not what a contract holds there; export the model again")
        given[field] = each
    return Contract(**given)
