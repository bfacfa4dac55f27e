"""A study's command line: a preset, overrides of any field, a run directory; the only parser of a study."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import tyro

from cervix_tf import durable, file_names, progress, ranges, run_lock, start, tuning
from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir
from cervix_tf.study.rows import RowStatus

C = TypeVar("C")
Check = Callable[[], object]
"""Raises `InputError` where something is missing or does not fit, such as a network's initial weights."""
Needs = Mapping[str, Sequence[Check]]
"""Row -> what has to pass before it can be trained; equal checks are made once."""


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What one command wants of a study; no part of the configuration, so the next may ask the same run for more."""

    tables: tuple[int, ...] = ()
    """The paper's tables whose rows to run; none: the paper's main model."""
    only: tuple[str, ...] = ()
    """Names of the rows to run, and what they need; none: all rows of the tables."""


class Preset(NamedTuple, Generic[C]):
    """A configuration to start from, and what it is for."""

    config: C
    description: str


@dataclasses.dataclass(frozen=True)
class Study(Generic[C]):
    """One paper, as its command line runs it."""

    name: str
    """Of its package, and of its folder below the folder of all runs."""
    title: str
    presets: Mapping[str, Preset[C]]
    """The first is the one that runs without --preset."""
    tables: tuple[int, ...]
    """The paper's tables whose rows can be asked for."""
    rows: Callable[[C, RunDir, RunRequest], Sequence[RowStatus]]
    """What `--list` prints of a run."""
    run: Callable[[C, RunDir, RunRequest], None]
    needs: Callable[[C, RunDir, RunRequest], Needs] = lambda config, out, request: {}
    """What its rows need besides images, looked at before `run`; see `cervix_tf.study.ready`."""
    fills: Callable[[C, RunDir, RunRequest], Sequence[RunDir]] = lambda config, out, request: [out]
    """The runs that a command writes tables of: where a paper's tables are of several data sets, one of each."""


def main(study: Study[Any], arguments: Sequence[str] | None = None) -> None:
    """Run a study as the command line says, in `saved_models/<study>/<run>/`.

    `--preset` chooses the configuration that the other options override. The same
    command given again goes on where it stopped; another configuration under the same
    run name is refused. Wrong input ends with exit code 2 and a message, no traceback.

    Each of `--seeds` is a run of its own: the configuration's seed in `<run>`, another one in
    `<run>-seed-<seed>`; the tables of mean and deviation over them stand in the first one's report, and where a
    command fills runs of several data sets, of each in its own. A seed that fails does not stop the others; there are
    no means then.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with exit_cleanly():
        preset = _preset(once(arguments), study.presets)
        command: Any = tyro.cli(
            _command(study, preset),
            args=arguments,
            prog=f"python -m experiments.{study.name}",
            description="\n\n".join(
                [
                    f"{type(study.presets[preset].config).__doc__}",
                    *(f"--preset {name}: {each.description}" for name, each in study.presets.items()),
                ]
            ),
        )
        for seed in command.seeds or (command.config.seed,):
            ranges.check(command.execution, dataclasses.replace(command.config, seed=seed))
        if command.run:
            file_names.check_plain(command.run, "--run")
        name = (command.run or preset) + _of_worker(command.execution)
        runs = {
            seed: RunDir(command.out / study.name / (name if seed == command.config.seed else f"{name}-seed-{seed}"))
            for seed in command.seeds or (command.config.seed,)
        }
        request = RunRequest(command.tables, command.only)
        if command.list:
            for seed, out in runs.items():
                _print(out, study.rows(dataclasses.replace(command.config, seed=seed), out, request))
            return
        with contextlib.ExitStack() as locks:
            for out in runs.values():
                durable.make_folder(out.root)
                locks.enter_context(run_lock.held(out.root))
            threads = start.threads(command.execution.threads, runs.values())
            start.import_tensorflow(threads, deterministic=command.execution.deterministic)
            from cervix_tf.study import failures, ready

            begun = {}
            for seed, out in runs.items():  # all first: what is refused is refused before hours of training
                config = dataclasses.replace(command.config, seed=seed)
                line = ["python", "-m", f"experiments.{study.name}", *arguments]
                begun[seed] = start.begin(config, out, line, seed, report_images=not command.no_images)
                ready.check(begun[seed], study.needs(begun[seed], out, request), out)
            failures.each(
                "seed", {str(seed): partial(study.run, config, runs[seed], request) for seed, config in begun.items()}
            )
            from cervix_tf.training import backend

            if len(runs) > 1 and backend.is_tensorflow():
                from cervix_tf.report import seeds

                filled = [study.fills(config, runs[seed], request) for seed, config in begun.items()]
                for of_seeds in zip(*filled, strict=True):
                    seeds.conclude(dict(zip(runs, of_seeds, strict=True)))
        backend.finish_on_tensorflow(f"experiments.{study.name}", arguments)


def _of_worker(execution: tuning.Execution) -> str:
    """What this worker's run name ends with; joins the others first, if TF_CONFIG names any."""
    import os

    if not os.environ.get("TF_CONFIG"):
        return ""
    start.import_tensorflow(execution.threads, deterministic=execution.deterministic)
    from cervix_tf.training import devices

    at = devices.worker()
    if at is None:
        return ""
    devices.strategy("all")  # nothing may be done with TensorFlow before
    return f"-worker-{at}" if at else ""


def _print(out: RunDir, rows: Sequence[RowStatus]) -> None:
    """The rows of a study, one per line."""
    import rich.box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=str(out.root), box=rich.box.SIMPLE_HEAD, title_justify="left")
    for column in ("row", "tables", "state", "cost"):
        grid.add_column(column, no_wrap=column == "row")
    for row in rows:
        grid.add_row(*map(escape, row))
    progress.console().print(grid)


def _preset(arguments: Sequence[str], presets: Mapping[str, Any]) -> str:
    """The preset that the command names, by default the first: the other options' defaults depend on it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", nargs="?")  # without a value: tyro says so
    named = parser.parse_known_args(arguments)[0].preset or next(iter(presets))
    if named not in presets:
        raise InputError(f"--preset {named!r}: choose from {', '.join(presets)}")
    return named


def _command(study: Study[Any], preset: str) -> type:
    """A dataclass of the run's own options and, without a prefix, the fields of the configuration."""
    config = study.presets[preset].config
    number: Any = Literal[study.tables]
    fields: list[tuple[str, Any, Any]] = [
        ("preset", Annotated[Literal[tuple(study.presets)], tyro.conf.arg(help="Configuration to start from.")],
         dataclasses.field(default=preset)),
        ("run", Annotated[str, tyro.conf.arg(help="Name of the run (default: the preset's).")],
         dataclasses.field(default="")),
        ("out", Annotated[Path, tyro.conf.arg(help="Folder of all runs.")],
         dataclasses.field(default=Path("saved_models"))),
        ("tables", Annotated[tuple[number, ...], tyro.conf.arg(
            help="Tables of the paper whose rows to run (none: the main model). Finished rows are not run again.")],
         dataclasses.field(default=())),
        ("only", Annotated[tuple[str, ...], tyro.conf.arg(help="Only these rows, and what they need; see --list.")],
         dataclasses.field(default=())),
        ("seeds", Annotated[tuple[int, ...], tyro.conf.arg(
            help="Run once per seed, each in a run directory of its own; tables then also have mean and deviation.")],
         dataclasses.field(default=())),
        ("list", Annotated[bool, tyro.conf.arg(help="Print the rows, their state and cost; run nothing.")],
         dataclasses.field(default=False)),
        ("no_images", Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(
            help="Show no patients' images in the report.")],
         dataclasses.field(default=False)),
        ("execution", Annotated[tuning.Execution, tyro.conf.arg(name="")],
         dataclasses.field(default=tuning.Execution())),
        ("config", Annotated[type(config), tyro.conf.arg(name="")], dataclasses.field(default=config)),
    ]  # fmt: skip
    return dataclasses.make_dataclass("Command", fields, frozen=True)
