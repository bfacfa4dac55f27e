"""How every run starts: TensorFlow quietly imported, configuration and environment written down."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cervix_tf import processor, progress, quiet, ranges, run_lock, shown_paths, tuning
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, read_object, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")

_MADE_BY = ("command_line", "commit", "versions")
"""What of environment.json is kept of every command that computed a part of the run, since each may differ."""
_SEVERAL_PROCESSORS = (
    "only up to rounding: parts of this run may have been computed on a processor with other instruction sets"
)


def import_tensorflow(threads: int = 0, *, deterministic: bool = False) -> None:
    """Import TensorFlow, set to what trains fastest on this machine, with this many threads (0: one per core).

    It prints nothing: environment.json has the devices. Raises `InputError` when TensorFlow is running already with
    another number of threads.
    """
    with progress.stage("loading TensorFlow"), quiet.libraries():
        with tuning.importing_tensorflow(threads, deterministic=deterministic):
            import tensorflow as tf

        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")  # it warns of many networks as of one traced again


def threads(asked: int, runs: Iterable[RunDir]) -> int:
    """The number of threads asked for, else that which the first run was started with; 0 where no run says."""
    begun = (read_object(out.environment).get("threads") for out in runs if out.environment.exists() and _computed(out))
    return asked or next(filter(None, begun), 0)


def begin(config: C, out: RunDir, command_line: Sequence[str], seed: int, *, report_images: bool = True) -> C:
    """Write config.json and environment.json of a run, or check that the run that is there has the same config.

    Returns the configuration with precision `auto` replaced by what is chosen, once per run. A run that holds no
    computed thing yet, such as one whose start failed without an option, takes the new configuration. Neither file
    names the user's home folder. The run's pages show patients' images if `report_images`. The caller has called
    `import_tensorflow` and has the run's lock (see `cervix_tf.run_lock`).

    Raises `InputError` that names the first fields that differ, a differing number of threads or `--deterministic`,
    a file of initial weights that is no longer the one the run began with, the first file of what is no run, or a
    manifest that the configuration names where the run would write its own copy of it.
    """
    computed = _computed(out)
    if stranger := _stranger(out, computed):
        raise InputError(f"{stranger}: is in a folder that is not a run of this program; choose another run folder")
    if not computed and any(out.manifest.samefile(path) for path in _named(config) if out.manifest.exists()):
        raise InputError(f"{out.manifest}: the run writes its own copy of it there; choose another run folder")
    there = _plain(read_json(out.config)) if out.config.exists() else None
    if computed and there is None:  # an evaluation, for one, has an environment.json too
        raise InputError(f"{computed}: is in a folder that is not a run (no {out.config.name}); choose another one")
    gpus = {} if getattr(config, "devices", "all") == "cpu" else tuning.gpus()
    config, precision = _settled(config, there if computed else None, gpus)
    wanted = _plain(dataclasses.asdict(config))
    if computed and there != wanted:
        changed = [f"{name} was {was!r}, now {now!r}" for name, was, now in _differences(there, wanted)]
        raise InputError(
            f"{out.root}: contains a run with a different configuration ({'; '.join(changed[:3])}); "
            "choose another run folder (a study: --run NAME, train: -o RUN), or remove that one"
        )
    found = environment(command_line, seed, on_gpus=bool(gpus))
    if precision:
        found["precision"] = str(precision)
    found["initial_weights"] = {shown_paths.kept(str(path)): _sha256(path) for path in ranges.files(config)}
    if computed and out.environment.exists():
        found |= _continued(out, found)
    if there != wanted:
        for path in (out.audit, out.manifest):  # of the data that the configuration named before
            path.unlink(missing_ok=True)
    write_json(out.environment, {**found, "report_images": report_images})  # first: it shows that the folder is a run
    if there != wanted:
        write_json(out.config, wanted)
    words = f"computing with --threads {found['threads']}, oneDNN {found['one_dnn'].split(':')[0]}"
    print(words + (f", precision {precision}" if precision else ""), flush=True)
    return config


def _named(config: DataclassInstance) -> Iterator[Path]:
    """The files and folders that are there of those that a configuration names."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _named(value)
        elif isinstance(value, Path) and value.exists():
            yield value


def begin_beside(first: RunDir, config: C, out: RunDir, seed: int) -> C:
    """`begin` another run of the command that began the run `first`: its command line, images shown or not."""
    began = read_object(first.environment)
    command_line, shown = shlex.split(str(began["command_line"])), bool(began["report_images"])
    return begin(config, out, command_line, seed, report_images=shown)


def _settled(config: C, begun: Any, gpus: Mapping[str, tuple[int, int]]) -> tuple[C, tuning.Choice | None]:
    """The configuration with precision `auto` replaced, in a run that exists by its own; and that choice."""
    if getattr(config, "precision", "") != "auto":
        return config, None
    choice = tuning.precision(processor.here(), gpus)
    before = begun.get("precision") if isinstance(begun, dict) else None
    if before not in (None, choice.value):
        choice = tuning.Choice(before, f"as this run was started; a new one would use {choice.value} here")
    return dataclasses.replace(config, precision=choice.value), choice


def _continued(out: RunDir, found: Mapping[str, Any]) -> dict[str, Any]:
    """What changes in environment.json when a run continues, perhaps on another machine.

    Raises `InputError` when options make this process round differently or a file of weights has changed; prints a
    note when its processor rounds differently.
    """
    begun = read_object(out.environment)
    weights = begun.get("initial_weights", {})
    for name, digest in found["initial_weights"].items():
        if weights.get(name, digest) != digest:
            raise InputError(
                f"{name}: has changed since {out.root} was started with it (SHA-256 {weights[name][:16]}..., now "
                f"{digest[:16]}...); put that file back, or choose another run folder"
            )
    if begun.get("threads", found["threads"]) != found["threads"]:
        raise InputError(
            f"{out.root}: was started with {begun['threads']} threads, now {found['threads']}, which round "
            f"differently; give --threads {begun['threads']}, or choose another run folder"
        )
    if begun.get("deterministic", found["deterministic"]) != found["deterministic"]:
        how, remedy = ("with", "give it again") if begun["deterministic"] else ("without", "leave it out")
        raise InputError(f"{out.root}: was started {how} --deterministic; {remedy}, or choose another run folder")
    before = str(begun.get("keras_backend", found["keras_backend"]))
    now = {name: found[name] for name in _MADE_BY}
    earlier = [*begun.get("earlier", ()), {name: begun.get(name, "not recorded") for name in _MADE_BY}]
    if now["commit"] != earlier[-1]["commit"]:
        print(f"note: {out.root}: was computed at commit {earlier[-1]['commit']} before, now at {now['commit']}")
    changes: dict[str, Any] = {
        "earlier": [each for each in earlier if each != now],
        "keras_backend": before if found["keras_backend"] in before else f"{before}, {found['keras_backend']}",
        "initial_weights": weights | found["initial_weights"],
    }
    if begun.get("instruction_sets", found["instruction_sets"]) != found["instruction_sets"]:
        print(
            f"note: {out.root}: was started on {begun.get('processor')}; what is computed here is rounded differently"
        )
    elif begun.get("reproducible") != _SEVERAL_PROCESSORS:
        return changes
    return {**changes, "reproducible": _SEVERAL_PROCESSORS}


def commits(environment: Mapping[str, Any]) -> str:
    """The commits at which a run was computed, in order, by its environment.json."""
    every = [*environment.get("earlier", ()), environment]
    return ", ".join(dict.fromkeys(str(each.get("commit", "not recorded")) for each in every))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _computed(out: RunDir) -> Path | None:
    """A file of the run that a configuration has had a part in; None where there is none."""
    no_part = {*_remade(out), out.root / run_lock.NAME}
    every = (Path(root) / name for root, _, names in os.walk(out.root) for name in names)
    return next((path for path in every if path not in no_part), None)


def _remade(out: RunDir) -> tuple[Path, ...]:
    """What a start writes, and writes again as long as nothing is computed."""
    return out.config, out.environment, out.audit, out.manifest


def _stranger(out: RunDir, computed: Path | None) -> Path | None:
    """A file of a folder that this program did not begin as a run; None where it did, or where the folder is new."""
    try:
        begun = read_object(out.environment) if out.environment.exists() else {}
    except InputError:
        begun = {}
    if "command_line" in begun or (computed and out.config.exists()):
        return None
    return computed or next((path for path in _remade(out) if path.exists()), None)


def environment(command_line: Sequence[str], seed: int, *, on_gpus: bool) -> dict[str, Any]:
    """What a result depends on beside its configuration: versions, git commit, machine, seed, command line.

    `on_gpus`: whether training runs on GPUs.
    """
    import importlib.metadata
    import platform

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
    return {
        "command_line": shown_paths.command(command_line),
        "seed": seed,
        "commit": _commit(Path(__file__)),
        "python": platform.python_version(),
        "system": platform.platform(),
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        **tuning.described(on_gpus=on_gpus),
        "devices": _devices(),
        "versions": versions,
    }


def _commit(file: Path) -> str:
    """The git commit that holds this file, `-dirty` where the checkout is changed; in words where none can be named.

    A study that nobody has added to git, as `python -m experiments new` writes it, is a change too. An installed
    package may lie in the checkout of another project, whose commit says nothing of it.
    """
    import subprocess

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    try:
        found = git("ls-files", file.name) and git("describe", "--always", "--dirty", "--abbrev=12")
        if found and not found.endswith("-dirty"):
            code = ":/cervix_tf", ":/experiments"  # from the top of the checkout; runs and data may lie beside them
            found += "-dirty" if git("status", "--porcelain", "--untracked-files=normal", "--", *code) else ""
    except OSError:
        return "not known: git cannot be run"
    return found or "not a git checkout"


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
    return shown_paths.kept(str(value)) if isinstance(value, Path | str) else value


def _differences(there: Any, asked: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(asked, dict):
        return [
            found
            for key in sorted(there.keys() | asked.keys())
            for found in _differences(there.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if there == asked else [(name, there, asked)]
