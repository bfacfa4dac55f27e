"""Whether the installation is complete, and what would be faster: findings, each with its remedy."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from cervix_tf import tuning
from cervix_tf.doctor.machine import Libraries
from cervix_tf.errors import InputError
from cervix_tf.processor import Processor

PROJECT = Path(__file__).resolve().parents[2]
_REINSTALL = "run `make venv` in the checkout"
_ROOM = 2e9  # bytes: a study's run, its cache and a SavedModel
_EXTRAS = {
    "federated": "training between institutions",
    "tensorboard": "--tensorboard",
    "gpu": "training on an NVIDIA GPU",
    "bench": "make bench",
    "dev": "make test",
}


class Finding(NamedTuple):
    """One line of what the doctor says."""

    what: str
    fine: bool
    text: str
    remedy: str = ""


def installation(found: Libraries) -> Iterator[Finding]:
    """What has to be right for any command to work."""
    try:
        python = importlib.metadata.metadata("cervix_tf")["Requires-Python"]
        wrong = list(_unmet())
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", False, "cervix_tf is importable but not installed", _REINSTALL)
    else:
        version = platform.python_version()
        yield Finding("Python", SpecifierSet(python).contains(version), version, f"install a version {python}")
        text = "; ".join(wrong) or f"{len(_requirements())} packages, in versions that setup.cfg allows"
        yield Finding("packages", not wrong, text, _REINSTALL)
    yield Finding("libraries", not found.error, found.error or "load and train a step", _REINSTALL)
    with contextlib.suppress(ImportError):  # the missing package has been named
        yield _cache()
    yield _writable("runs", Path("saved_models"))


def notes(found: Libraries, lock: Path = PROJECT / "constraints.txt") -> Iterator[Finding]:
    """What need not be right: versions other than the lock's, extras that are not installed."""
    if lock.is_file():
        other = list(_differing(lock.read_text(encoding="utf-8")))
        text = ", ".join(other) or "those of constraints.txt, which the tests passed with"
        yield Finding("versions", not other, text, _REINSTALL)
    for extra, purpose in _EXTRAS.items():
        missing = [each.name for each in _requirements(extra) if not _installed(each)]
        if extra == "gpu":
            missing = [] if found.gpus else ["no GPU in use"]
        text = f"{purpose}: {'not installed (' + ', '.join(missing) + ')' if missing else 'installed'}"
        yield Finding(f"extra {extra}", True, text)


def faster(here: Processor, found: Libraries, graphics: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    """What would make this machine faster, one line each; `graphics`: the GPUs that a driver knows."""
    if graphics and not found.gpus:
        yield (
            f"TensorFlow does not see {graphics[0]}: "
            + ("look at its driver" if found.cuda else "this TensorFlow has no CUDA")
            + "; in the checkout: pip install -e '.[gpu]'"
        )
    if tuning.one_dnn(here, variables).value == "off":
        yield "TF_ENABLE_ONEDNN_OPTS=0 turns oneDNN off in training: unset it"
    if variables.get("ONEDNN_MAX_CPU_ISA"):
        limit = variables["ONEDNN_MAX_CPU_ISA"]
        yield f"ONEDNN_MAX_CPU_ISA={limit} hides instructions that the processor may have: unset it"
    if here.cores < here.logical:
        few = f"{here.cores} of {here.logical} logical CPUs"
        yield f"this process may use {few}: a container limit or CPU affinity keeps it from more"
    if tuning.precision(here, found.gpus).value == "bfloat16":
        yield "training in bfloat16, where a preset does not: --precision auto"


def _requirements(extra: str = "") -> list[Requirement]:
    """What the installed project requires, always or only for an extra."""
    every = [Requirement(text) for text in importlib.metadata.requires("cervix_tf") or []]

    def needed(each: Requirement, extra: str) -> bool:
        return each.marker is None or each.marker.evaluate({"extra": extra})

    return [each for each in every if needed(each, extra) and not (extra and needed(each, ""))]


def _installed(requirement: Requirement) -> str:
    """The version of a package; empty without it."""
    try:
        return importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _unmet() -> Iterator[str]:
    for each in _requirements():
        version = _installed(each)
        if not version:
            yield f"{each.name} is missing"
        elif not each.specifier.contains(version, prereleases=True):
            yield f"{each.name} {version} is not {each.specifier}"


def _differing(lock: str) -> Iterator[str]:
    for name, version in re.findall(r"^([\w.-]+)(?:\[.+\])?==([\w.!+-]+)", lock, re.MULTILINE):
        here = _installed(Requirement(name))
        if here and here != version:
            yield f"{name} {here} instead of {version}"


def _cache() -> Finding:
    from cervix_tf.data import pixel_cache

    try:
        return _writable("cache", pixel_cache.folder())
    except InputError:
        return Finding("cache", False, "this user has no home folder", f"set {pixel_cache.FOLDER} to a folder")


def _writable(name: str, folder: Path) -> Finding:
    """Whether files can be written in a folder, or where it would be made, and how much room there is."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return Finding(name, False, f"{folder}: cannot be written", "choose another folder, or change its permissions")
    free = shutil.disk_usage(there).free
    return Finding(name, free > _ROOM, f"{folder}: {free / 1e9:.0f} GB free", "free some space")
