"""Whether the installation is whole, and what would be faster: one finding a line, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from cervix_tf.doctor.machine import Libraries
from cervix_tf.processor import Processor

PROJECT = Path(__file__).resolve().parents[2]
_REINSTALL = "`make venv` in the checkout puts it right"
_ROOM = 2e9  # bytes: a study's run, its cache and a SavedModel
_EXTRAS = {
    "federated": "training between institutions",
    "tensorboard": "--tensorboard",
    "gpu": "training on an NVIDIA GPU",
    "dev": "make test",
}


class Finding(NamedTuple):
    """One line of the doctor's."""

    what: str
    fine: bool
    text: str
    remedy: str = ""


def installation(found: Libraries) -> Iterator[Finding]:
    """What has to be right for any command to work."""
    version = sys.version_info
    fine = (3, 11) <= version[:2] < (3, 14)
    yield Finding("Python", fine, f"{version.major}.{version.minor}.{version.micro}", "install Python 3.11 to 3.13")
    wrong = list(_unmet())
    text = "; ".join(wrong) or f"{len(_requirements(''))} packages in versions that setup.cfg admits"
    yield Finding("packages", not wrong, text, _REINSTALL)
    yield Finding("libraries", not found.error, found.error or "load, and train a step", _REINSTALL)
    for name, folder in (("cache", _cache()), ("runs", Path("saved_models"))):
        yield _writable(name, folder)


def notes(found: Libraries, lock: Path = PROJECT / "constraints.txt") -> Iterator[Finding]:
    """What may be as it is: versions that are not those of the lock, extras that are not there."""
    if lock.is_file():
        other = list(_differing(lock.read_text(encoding="utf-8")))
        text = ", ".join(other) or "those of constraints.txt, with which the tests passed"
        yield Finding("versions", not other, text, _REINSTALL)
    for extra, purpose in _EXTRAS.items():
        missing = [each.name for each in _requirements(extra) if not _installed(each)]
        if extra == "gpu":
            missing = [] if found.gpus else ["no GPU in use"]
        text = f"{purpose}: {'not there (' + ', '.join(missing) + ')' if missing else 'there'}"
        yield Finding(f"extra {extra}", True, text)


def faster(processor: Processor, found: Libraries, graphics: list[str], variables: Mapping[str, str]) -> Iterator[str]:
    """What would make this machine faster, one line each."""
    if graphics and not found.gpus:
        yield (
            f"TensorFlow does not see {graphics[0]}: "
            + ("look at its driver" if found.cuda else "this TensorFlow has no CUDA")
            + "; in the checkout: pip install -e '.[gpu]'"
        )
    if variables.get("TF_ENABLE_ONEDNN_OPTS", "").strip().lower() in ("0", "false"):
        yield "TF_ENABLE_ONEDNN_OPTS=0 keeps training from oneDNN: unset it"
    if variables.get("ONEDNN_MAX_CPU_ISA"):
        limit = variables["ONEDNN_MAX_CPU_ISA"]
        yield f"ONEDNN_MAX_CPU_ISA={limit} hides instructions that the processor may have: unset it"
    if processor.cores < processor.logical:
        few = f"{processor.cores} of {processor.logical} logical CPUs"
        yield f"this process may use {few}: its container or its binding keeps it from more"
    if shutil.which("uv") is None:
        yield "a uv of the machine's own: `make` then need not fetch one before it installs"


def _requirements(extra: str) -> list[Requirement]:
    """What the installed project requires, in itself or for an extra."""
    every = [Requirement(text) for text in importlib.metadata.requires("cervix_tf") or []]
    if not extra:
        return [each for each in every if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [each for each in every if each.marker is not None and f'"{extra}"' in str(each.marker)]


def _installed(requirement: Requirement) -> str:
    """The version of a package; empty without it."""
    try:
        return importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _unmet() -> Iterator[str]:
    try:
        required = _requirements("")
    except importlib.metadata.PackageNotFoundError:
        yield "cervix_tf is not installed, only found"
        return
    for each in required:
        version = _installed(each)
        if not version:
            yield f"{each.name} is missing"
        elif not each.specifier.contains(version, prereleases=True):
            yield f"{each.name} {version} is not {each.specifier}"


def _differing(lock: str) -> Iterator[str]:
    for name, version in re.findall(r"^([\w.-]+)==([\w.!+-]+)", lock, re.MULTILINE):
        here = _installed(Requirement(name))
        if here and here != version:
            yield f"{name} {here} instead of {version}"


def _cache() -> Path:
    return Path(os.environ.get("CERVIX_TF_CACHE") or Path(tempfile.gettempdir()) / "cervix_tf")


def _writable(name: str, folder: Path) -> Finding:
    """Whether files can be written in a folder, or where it would be made, and how much room there is."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return Finding(name, False, f"{folder}: cannot be written", "choose another folder, or change its permissions")
    free = shutil.disk_usage(there).free
    return Finding(name, free > _ROOM, f"{folder}: {free / 1e9:.0f} GB free", "free some space")
