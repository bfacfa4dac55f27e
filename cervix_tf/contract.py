"""What an exported model takes and gives, and what it is for: it travels with every exported file.

One digest in it covers the contract itself, the model and what travels with both. It tells that they
are the ones that were exported together, so it finds every accident and every careless change. It is
no signature: whoever changes a model on purpose can write the digest of the change.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

from cervix_tf import bounded, decision
from cervix_tf.config import MOST_SUPERSAMPLING
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.run_dir import write_json

_BYTES = 1 << 20
_LONGEST_NAME, _LONGEST_TEXT = 200, 20_000
_MOST_CLASSES, _MOST_VIEWS, _LARGEST_SIDE = 10_000, 100, 16_384
_CONTROLS = "\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"  # these turn text around too
_CONTROL = re.compile(f"[{_CONTROLS}]")
TEXT = f"[^{_CONTROLS}]{{0,{_LONGEST_TEXT}}}"
"""Regular expression of a text that a contract can hold."""
_DIGEST = re.compile("[0-9a-f]{64}|")
_LATER = {"supersampling": 1, "missing_views": False, "calibration": None, "operating_point": None}
_PARTS = {"calibration": Calibration, "operating_point": OperatingPoint}


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
    license: str
    intended_use: str
    data: str
    """What it was developed on: images for training, choosing and testing together."""
    synthetic: bool
    """Trained on drawn images: good for trying the software, for nothing else."""
    stand_in: bool
    """Trained on another data set than the paper's."""
    neighbors: str = ""
    """Digest of the neighbors that turn the model's embeddings into probabilities (see
    `cervix_tf.metrics.neighbors`); empty = the model gives probabilities itself."""
    supersampling: int = 1
    """Samples per pixel along each axis when an image is resized (see `cervix_tf.layers.ResizePixels`)."""
    missing_views: bool = False
    """Whether an input may lack views, all but one: a black image stands for each that is missing."""
    calibration: Calibration | None = None
    """That of the probabilities, fitted on validation; part of the model itself."""
    operating_point: OperatingPoint | None = None
    """Threshold of the binary decision, chosen on validation; None = positive is whose most probable class is."""
    digest: str = field(default="", compare=False)
    """SHA-256 over this contract and the files it was sealed with; empty = not sealed."""

    @property
    def output(self) -> str:
        """Name of what every signature of the exported model gives."""
        return "embeddings" if self.neighbors else "probabilities"

    @property
    def resizing(self) -> str:
        """The size to resize an image to, and by which resampling, in words."""
        times = self.supersampling
        bilinear = f"to {self.width} x {self.height} pixels (width x height), bilinear with half-pixel centers"
        return bilinear if times == 1 else f"{bilinear} at {times} times the size, then the mean of {times} x {times}"

    @property
    def image_files(self) -> int:
        """Image files that make one input."""
        return len(self.views) or 1

    @property
    def missing(self) -> Literal["leave out", "black"]:
        """What becomes of a case that lacks a kind of view: what `data.inputs.from_cases` is told."""
        return "black" if self.missing_views else "leave out"

    def sealed(self, files: Mapping[str, str]) -> Contract:
        """The same contract with the digest over it and `files`, name -> SHA-256."""
        terms = {name: value for name, value in asdict(self).items() if name != "digest"}
        for name, default in _LATER.items():  # so that the seals of earlier models hold
            if terms[name] == default:
                del terms[name]
        whole = json.dumps([terms, dict(files)], sort_keys=True)
        return replace(self, digest=hashlib.sha256(whole.encode()).hexdigest())

    def check_seal(self, files: Mapping[str, str], name: str) -> None:
        """Raise `InputError` unless the digest is that of this contract and `files`; `name` stands for them."""
        if not self.digest:
            raise InputError(
                f"{name}: contains no digest of model and contract, so it is from an earlier version or unfinished; "
                "export the run again with `python -m cervix_tf.export`"
            )
        if self.sealed(files).digest != self.digest:
            raise InputError(
                f"{name}: damaged or changed: its model and contract are not those that were exported together; "
                "copy it again or export the run again"
            )

    def text(self) -> str:
        """The contract as JSON text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write contract.json, whole or not at all."""
        write_json(path, asdict(self))


def read(path: Path) -> Contract:
    """The contract in a contract.json file, sealed or not.

    Raises `InputError` when it is missing or says something else than a contract does.
    """
    path = Path(path)
    try:
        raw = bounded.read(path, _BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; was this model exported by cervix_tf?") from None
    except bounded.Unreadable as error:
        raise InputError(f"{path}: {error}; export the model again") from None
    return parse(raw, str(path))


def parse(raw: bytes, name: str) -> Contract:
    """The contract in the bytes of a contract.json; `name` stands for it in messages. Raises `InputError`."""
    try:
        value = bounded.json_value(raw, _BYTES)
    except bounded.Unreadable as error:
        raise InputError(f"{name}: {error}; export the model again") from None
    names = [each.name for each in fields(Contract)]
    if isinstance(value, dict):
        for later, default in {"digest": "", **_LATER}.items():  # contracts of the versions before these
            value.setdefault(later, default)
    if not isinstance(value, dict) or set(value) != set(names):
        missing = ", ".join(sorted(set(names) - set(value))) if isinstance(value, dict) else "everything"
        raise InputError(
            f"{name}: not a contract of this version (lacks: {missing or 'nothing, but has others'}); export again"
        )
    kinds = get_type_hints(Contract)
    given: dict[str, Any] = {}
    for each in names:
        kind, found = kinds[each], value[each]
        if each in _PARTS:
            try:
                found, wrong = None if found is None else decision.parsed(_PARTS[each], found), False
            except (ValueError, TypeError):
                wrong = True
        elif get_origin(kind) is tuple:
            wrong = not isinstance(found, list) or not all(isinstance(part, str) for part in found)
            found = tuple(found) if not wrong else found
        else:
            wrong = type(found) is not kind
        if wrong:
            raise InputError(
                f"{name}: {each} {_short(found)}: is not a valid value in a contract; export the model again"
            )
        given[each] = found
    contract = Contract(**given)
    for problem in _problems(contract):
        raise InputError(f"{name}: {problem}; export the model again")
    return contract


def _problems(contract: Contract) -> Iterator[str]:
    """What no contract can say, though each value is of the right kind."""
    for name, value in asdict(contract).items():
        texts = [value] if isinstance(value, str) else value if isinstance(value, tuple) else []
        longest = _LONGEST_NAME if isinstance(value, tuple) else _LONGEST_TEXT
        for text in texts:
            if len(text) > longest or _CONTROL.search(text):
                yield f"{name} {_short(text)}: has control characters or over {longest} characters"
        if isinstance(value, tuple) and (len(set(value)) < len(value) or "" in value):
            yield f"{name} {_short(value)}: names are empty or occur twice"
    for name in ("height", "width", "native_height", "native_width"):
        if not 1 <= getattr(contract, name) <= _LARGEST_SIDE:
            yield f"{name} {getattr(contract, name)}: an image has 1 to {_LARGEST_SIDE} pixels a side"
    if not 1 <= contract.supersampling <= MOST_SUPERSAMPLING:
        yield f"supersampling {contract.supersampling}: is 1 to {MOST_SUPERSAMPLING}"
    if not 2 <= len(contract.classes) <= _MOST_CLASSES:
        yield f"classes: {len(contract.classes)} of them; a model has 2 to {_MOST_CLASSES}"
    if len(contract.views) > _MOST_VIEWS:
        yield f"views: {len(contract.views)} of them; an input has at most {_MOST_VIEWS}"
    if not set(contract.positive) <= set(contract.classes):
        yield f"positive {_short(contract.positive)}: is not among the classes {_short(contract.classes)}"
    yield from decision.problems(
        contract.calibration, contract.operating_point, len(contract.classes), len(contract.positive)
    )
    for name in ("neighbors", "digest"):
        if not _DIGEST.fullmatch(getattr(contract, name)):
            yield f"{name} {_short(getattr(contract, name))}: is not a SHA-256"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}..."
