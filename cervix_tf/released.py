"""Models that come with the source checkout: a name stands for a folder, whose models' SHA-256 are pinned here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cervix_tf.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "saved_models" / "released"
"""Where they are in a checkout; a wheel has none."""
PINS = Path(__file__).with_suffix(".sha256")
"""Lines as sha256sum writes and checks them: digest, two blanks, path below `FOLDER`."""

KINDS = "a run, a SavedModel folder, or a .tflite, .onnx or .keras file"
"""What else a model's path may be, in words."""


def names() -> tuple[str, ...]:
    """The released models, there or not."""
    return tuple(sorted({Path(file).parts[0] for file in pins()}))


def pins() -> dict[str, str]:
    """Path below `FOLDER` -> SHA-256 of every released .tflite file and quality gate."""
    lines = PINS.read_text(encoding="utf-8").splitlines()
    return {file: digest for digest, file in (line.split("  ", 1) for line in lines)}


def find(path: Path) -> Path:
    """What a model's path stands for: a released model, or a file of one, where it begins with such a name.

    Any other path stands for itself. Of a released model every file is checked against its pin.

    Raises `InputError` when the model is not there or is not the released one, and where something else in the
    current folder has its name: which of the two is meant cannot be known.
    """
    name = path.parts[0] if path.parts else ""
    if name not in names():
        return path
    here, there = Path(name), FOLDER / name
    if here.exists() and here.resolve() != there:
        raise InputError(
            f"{name}: is the name of a released model and of something in this folder; "
            f"for the latter, give {path.absolute()}; for the former, work in another folder"
        )
    for file, digest in pins().items():
        if Path(file).parts[0] == name:
            _check(FOLDER / file, name, digest)
    return FOLDER / path


def _check(file: Path, name: str, digest: str) -> None:
    if not file.is_file():
        raise InputError(
            f"{name}: {file} is not there: released models come with cervix_tf's source checkout, not with its wheel; "
            f"run the command in a checkout, or copy saved_models/released/{name} from one and give the copy's path"
        )
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != digest:
        raise InputError(
            f"{file}: is not the released file: its SHA-256 begins with {found[:12]}, not with {digest[:12]}; "
            f"restore it with `git checkout -- {file}`"
        )
