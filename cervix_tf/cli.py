"""A paper's command line: a preset, overrides of any field, a run directory. The one place that parses one."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import tyro

from cervix_tf import atomic, processor, ranges, shown_paths, tuning
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
        for seed in {command.config.seed, *(command.seeds if tables else ())}:
            ranges.check(dataclasses.replace(command.config, seed=seed))
        if command.threads < 0:
            raise InputError(f"--threads {command.threads}: must be at least 0")
        name = (command.run or preset) + _of_worker(command.threads)
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
        import_tensorflow(_threads(command.threads, list(runs.values())), deterministic=command.deterministic)
        for seed, out in runs.items():
            config, choices = _with_precision(dataclasses.replace(command.config, seed=seed), out)
            begin(config, out, ["python", "-m", f"experiments.{paper}", *arguments], seed, choices)
            if command.no_images:
                write_json(out.environment, {**read_json(out.environment), "report_images": False})
            run(config, out, *asked)
        if len(runs) > 1:
            from cervix_tf.report import seeds

            seeds.conclude(runs)


def _of_worker(threads: int) -> str:
    """What this worker's run name ends with; joins the others first, if TF_CONFIG names any."""
    import os

    if not os.environ.get("TF_CONFIG"):
        return ""
    import_tensorflow(threads)
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


def _threads(asked: int, runs: Sequence[RunDir]) -> int:
    """As many as were asked for, else as the first run was begun with, else one a core."""
    begun = [read_json(out.environment).get("threads") for out in runs if out.environment.exists()]
    return asked or next(filter(None, begun), processor.here().cores)


def _with_precision(config: C, out: RunDir) -> tuple[C, dict[str, str]]:
    """The configuration with the precision that `auto` stands for, once and for all in a run; the choice in words."""
    asked: Any = config
    if getattr(asked, "precision", "") != "auto":
        return config, {}
    from cervix_tf.train import devices

    gpus = {} if asked.devices == "cpu" else devices.capabilities()
    choice = tuning.precision(processor.here(), gpus)
    begun = read_json(out.config).get("precision") if out.config.exists() else None
    if begun not in (None, choice.value):
        choice = tuning.Choice(begun, f"as this run was begun; a new one would take {choice.value} here")
    print(f"precision {choice}", flush=True)
    return dataclasses.replace(asked, precision=choice.value), {"precision": str(choice)}


def import_tensorflow(threads: int = 0, *, deterministic: bool = False) -> None:
    """Import TensorFlow, set to what trains fastest on this processor, with so many threads (0: one a core).

    Without the lines its C++ side prints before any log level applies (missing CUDA, CPU flags): which devices there
    are stands in environment.json.
    """
    import os
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as unread:
        os.dup2(unread.fileno(), 2)
        try:
            with tuning.importing_tensorflow(threads, deterministic=deterministic):
                import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")  # it warns of many networks as of one traced anew
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def begin(
    config: Any, out: RunDir, command_line: Sequence[str], seed: int, choices: Mapping[str, str] | None = None
) -> None:
    """Write config.json and environment.json of a run, or check that the run that is there has the same config.

    `choices` are what the program chose and why, for environment.json. Raises `InputError` that names the first fields
    that differ.
    """
    atomic.clear_leftovers(out.root)
    asked = _plain(dataclasses.asdict(config))
    if out.config.exists():
        there = read_json(out.config)
        changed = [
            f"{name} was {there_value!r}, now {asked_value!r}"
            for name, there_value, asked_value in _differences(_plain(there), asked)
        ]
        if changed:
            raise InputError(
                f"{out.root}: holds a run with another configuration ({'; '.join(changed[:3])}); "
                "choose another --run name, or remove that folder"
            )
    else:
        write_json(out.config, asked)
    found = environment(command_line, seed) | {**(choices or {})}
    there = read_json(out.environment) if out.environment.exists() else {}
    for name in ("threads", "deterministic"):
        if there.get(name, found[name]) != found[name]:
            raise InputError(
                f"{out.root}: was begun with {name} {there[name]}, now {found[name]}, which rounds otherwise; give "
                f"--{name} as before, or another --run name"
            )
    write_json(out.environment, found)


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
        "command_line": shown_paths.command(command_line),
        "seed": seed,
        "commit": git.stdout.strip() or "not a git checkout",
        "python": platform.python_version(),
        "system": platform.platform(),
        **tuning.described(),
        "devices": devices.describe(),
        "versions": versions,
    }


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
        ("threads", Annotated[int, tyro.conf.arg(
            help="Threads of the arithmetic; the same number gives the same results on any number of cores of one kind "
            "(0: those that the run was begun with, at first one a core).")],
         dataclasses.field(default=0)),
        ("deterministic", Annotated[bool, tyro.conf.arg(
            help="Only operations that give the same results every time, on a GPU too; slower there.")],
         dataclasses.field(default=False)),
        ("no_images", Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(
            help="Show no patients' images in the report.")],
         dataclasses.field(default=False)),
        *(several if tables else ()),
        ("config", Annotated[type(config), tyro.conf.arg(name="")], dataclasses.field(default=config)),
    ]  # fmt: skip
    return dataclasses.make_dataclass("Command", fields, frozen=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return shown_paths.kept(str(value)) if isinstance(value, (Path, str)) else value


def _differences(there: Any, asked: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(asked, dict):
        return [
            found
            for key in sorted(there.keys() | asked.keys())
            for found in _differences(there.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if there == asked else [(name, there, asked)]
