"""How every run starts: TensorFlow quietly imported, configuration and environment written down."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cervix_tf import run_lock
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json


def import_tensorflow() -> None:
    """Import TensorFlow without the lines its C++ side prints before any log level applies (missing CUDA, CPU flags).

    Which devices there are stands in environment.json.
    """
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as unread:
        os.dup2(unread.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")  # it warns of many networks as of one traced anew
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def begin(config: Any, out: RunDir, command_line: Sequence[str], seed: int) -> None:
    """Write config.json and environment.json of a run, or check that the run that is there has the same config.

    A run that holds no computed thing yet, such as one whose start failed for want of an option, takes the new one.
    The caller has the run's lock (see `cervix_tf.run_lock`).

    Raises `InputError` that names the first fields that differ, or the first file of what is no run.
    """
    wanted = _plain(dataclasses.asdict(config))
    there = read_json(out.config) if out.config.exists() else None
    computed = None if there == wanted else _computed(out)
    if computed and there is None:
        raise InputError(f"{computed}: is in a folder that is no run (it has no {out.config.name}); choose another one")
    if computed:
        changed = [f"{name} was {was!r}, now {now!r}" for name, was, now in _differences(there, wanted)]
        raise InputError(
            f"{out.root}: holds a run with another configuration ({'; '.join(changed[:3])}); "
            "choose another run folder (a study: --run NAME, train: -o RUN), or remove that one"
        )
    if there != wanted:
        for path in (out.audit, out.manifest):  # of the data that the configuration named before
            path.unlink(missing_ok=True)
        write_json(out.config, wanted)
    write_json(out.environment, environment(command_line, seed))


def _computed(out: RunDir) -> Path | None:
    """A file of the run that a configuration has had a part in; None where there is none."""
    remade = {out.config, out.environment, out.audit, out.manifest, out.root / run_lock.NAME}
    every = (Path(root) / name for root, _, names in os.walk(out.root) for name in names)
    return next((path for path in every if path not in remade), None)


def environment(command_line: Sequence[str], seed: int) -> dict[str, Any]:
    """What a result depends on beside its configuration: versions, git commit, machine, seed, command line."""
    import importlib.metadata
    import platform
    import subprocess

    names = (
        "cervix_tf",
        "tensorflow",
        "keras",
        "numpy",
        "opencv-python-headless",
        "scikit-learn",
        "ai-edge-litert",
    )
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "command_line": " ".join(command_line),
        "seed": seed,
        "commit": git.stdout.strip() or "not a git checkout",
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "devices": _devices(),
        "versions": versions,
    }


def _processor() -> str:
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} logical CPUs"


def _devices() -> str:
    """The devices that TensorFlow sees, in words."""
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        found.append(details.get("device_name", device.device_type))
    return ", ".join(found)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _differences(there: Any, asked: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(asked, dict):
        return [
            found
            for key in sorted(there.keys() | asked.keys())
            for found in _differences(there.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if there == asked else [(name, there, asked)]
