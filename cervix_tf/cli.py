"""A paper's command line: a preset, overrides of any field, a run directory. The one place that parses one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import tyro

from cervix_tf import durable, file_names, run_lock
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir, read_json, write_json

C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one command wants of a study; no part of the configuration, so the next may ask the same run for more."""

    tables: tuple[int, ...] = ()
    """The paper's tables whose rows to run; none: the paper's main model."""
    only: tuple[str, ...] = ()
    """Names of the rows to run, and what they need; none: all rows of the tables."""


class Listed(NamedTuple):
    """One line of `--list`: a row (a trained model, as a rule) of the study."""

    row: str
    tables: str
    state: str
    cost: str


def main(
    paper: str,
    presets: Mapping[str, C],
    descriptions: Mapping[str, str],
    run: Callable[..., None],
    arguments: Sequence[str] | None = None,
    *,
    tables: Sequence[int] = (),
    listed: Callable[[C, RunDir, Asked], Sequence[Listed]] | None = None,
) -> None:
    """Run a paper as the command line says, in `saved_models/<paper>/<run>/`.

    `--preset` chooses the configuration that the other options override. The same
    command given again goes on where it stopped; another configuration under the same
    run name is refused. Wrong input ends with exit code 2 and a message, no traceback.

    A paper with several `tables` takes `--tables`, `--only`, `--seeds` and `--list`; its
    `run` is called with (configuration, run directory, `Asked`), otherwise with the first
    two. `listed`, needed then, gives what `--list` prints. Each of `--seeds` is a run of its own:
    the configuration's seed in `<run>`, another one in `<run>-seed-<seed>`; the tables of
    mean and deviation over them stand in the first one's report.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with exit_cleanly():
        preset = _preset(arguments, presets)
        command: Any = tyro.cli(
            _command(presets, preset, tables),
            args=arguments,
            prog=f"python -m experiments.{paper}",
            description="\n\n".join(
                [
                    f"{type(presets[preset]).__doc__}",
                    *(f"--preset {name}: {descriptions[name]}" for name in presets),
                ]
            ),
        )
        if command.run:
            file_names.check_plain(command.run, "--run")
        name = (command.run or preset) + _of_worker()
        runs = {
            seed: RunDir(command.out / paper / (name if seed == command.config.seed else f"{name}-seed-{seed}"))
            for seed in (command.seeds if tables else ()) or (command.config.seed,)
        }
        asked = [Asked(command.tables, command.only)] if tables else []
        if tables and command.list:
            assert listed is not None
            for seed, out in runs.items():
                _print(out, listed(dataclasses.replace(command.config, seed=seed), out, asked[0]))
            return
        with contextlib.ExitStack() as locks:
            for out in runs.values():
                durable.make_folder(out.root)
                locks.enter_context(run_lock.held(out.root))
            import_tensorflow()
            for seed, out in runs.items():
                config = dataclasses.replace(command.config, seed=seed)
                begin(config, out, ["python", "-m", f"experiments.{paper}", *arguments], seed)
                run(config, out, *asked)
            if len(runs) > 1:
                from cervix_tf.report import seeds

                seeds.conclude(runs)


def _of_worker() -> str:
    """What this worker's run name ends with; joins the others first, if TF_CONFIG names any."""
    if not os.environ.get("TF_CONFIG"):
        return ""
    import_tensorflow()
    from cervix_tf.train import devices

    at = devices.worker()
    if at is None:
        return ""
    devices.strategy("all")  # nothing may be done with TensorFlow before
    return f"-worker-{at}" if at else ""


def _print(out: RunDir, rows: Sequence[Listed]) -> None:
    """The rows of a study, one a line."""
    import rich.box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=str(out.root), box=rich.box.SIMPLE_HEAD, title_justify="left")
    for column in ("row", "tables", "state", "cost"):
        grid.add_column(column, no_wrap=column == "row")
    for row in rows:
        grid.add_row(*map(escape, row))
    Console().print(grid)


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
    asked = _plain(dataclasses.asdict(config))
    there = read_json(out.config) if out.config.exists() else None
    computed = None if there == asked else _computed(out)
    if computed and there is None:
        raise InputError(f"{computed}: is in a folder that is no run (it has no {out.config.name}); choose another one")
    if computed:
        changed = [f"{name} was {was!r}, now {now!r}" for name, was, now in _differences(there, asked)]
        raise InputError(
            f"{out.root}: holds a run with another configuration ({'; '.join(changed[:3])}); "
            "choose another --run name, or remove that folder"
        )
    if there != asked:
        for path in (out.audit, out.manifest):  # of the data that the configuration named before
            path.unlink(missing_ok=True)
        write_json(out.config, asked)
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

    from cervix_tf.train import devices

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
        "devices": devices.describe(),
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


def _preset(arguments: Sequence[str], presets: Mapping[str, Any]) -> str:
    for at, argument in enumerate(arguments):
        name = ""
        if argument == "--preset" and at + 1 < len(arguments):
            name = arguments[at + 1]
        elif argument.startswith("--preset="):
            name = argument.partition("=")[2]
        if name:
            if name not in presets:
                raise InputError(f"--preset {name!r}: there are {', '.join(presets)}")
            return name
    return next(iter(presets))


def _command(presets: Mapping[str, Any], preset: str, tables: Sequence[int]) -> type:
    """A dataclass of the run's own options and, without a prefix, the fields of the configuration."""
    config = presets[preset]
    number: Any = Literal[tuple(tables)] if tables else int
    several: list[tuple[str, Any, Any]] = [
        ("tables", Annotated[tuple[number, ...], tyro.conf.arg(
            help="Tables of the paper whose rows to run (none: the main model). Finished rows are not run again.")],
         dataclasses.field(default=())),
        ("only", Annotated[tuple[str, ...], tyro.conf.arg(help="Only these rows, and what they need; see --list.")],
         dataclasses.field(default=())),
        ("seeds", Annotated[tuple[int, ...], tyro.conf.arg(
            help="Run once a seed, each in a run directory of its own; tables then have mean and deviation too.")],
         dataclasses.field(default=())),
        ("list", Annotated[bool, tyro.conf.arg(help="Print the rows, their state and cost; run nothing.")],
         dataclasses.field(default=False)),
    ]  # fmt: skip
    fields: list[tuple[str, Any, Any]] = [
        (
            "preset",
            Annotated[Literal[tuple(presets)], tyro.conf.arg(help="Configuration to start from.")],
            dataclasses.field(default=preset),
        ),
        ("run", Annotated[str, tyro.conf.arg(help="Name of the run (default: the preset's).")],
         dataclasses.field(default="")),
        ("out", Annotated[Path, tyro.conf.arg(help="Folder of all runs.")],
         dataclasses.field(default=Path("saved_models"))),
        *(several if tables else ()),
        ("config", Annotated[type(config), tyro.conf.arg(name="")], dataclasses.field(default=config)),
    ]  # fmt: skip
    return dataclasses.make_dataclass("Command", fields, frozen=True)


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
