"""A run's tables in a README, so that the printed numbers are the measured ones.

`python -m cervix_tf.report.readme RUN README NAME` writes `results/NAME.json` beside the
README and the block between its lines `<!-- results NAME -->` and `<!-- end NAME -->`. A
test compares the blocks with the JSON files; nobody types a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from cervix_tf import atomic, shown_paths
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir, read_json, write_json


@dataclass(frozen=True)
class Options:
    """Put the tables of a finished run into a README."""

    run: tyro.conf.Positional[Path]
    """Run directory."""
    readme: tyro.conf.Positional[Path]
    """README.md with the marker lines."""
    name: tyro.conf.Positional[str]
    """Name of the block."""


def results(run: RunDir) -> dict[str, Any]:
    """What a README says of a run: its tables, how they were made, on what, and how long training took."""
    import pandas as pd

    environment = read_json(run.environment)
    seconds = sum(pd.read_csv(row.history)["seconds"].sum() for row in run.rows.values() if row.history.exists())
    return {
        "command": shown_paths.published_command(environment["command_line"], environment.get("data_root", "")),
        "commit": environment["commit"],
        "processor": environment["processor"],
        "training_minutes": round(float(seconds) / 60, 1),
        "tables": read_json(run.tables),
    }


def block(found: dict[str, Any]) -> str:
    """The Markdown of `results`."""
    from cervix_tf.report import tables

    how = (
        f"`{found['command']}` at commit {found['commit']}; {found['training_minutes']:g} minutes of training on "
        f"{found['processor']}."
    )
    return f"{how}\n\n{tables.markdown(found['tables'])}"


def blocks(readme: Path) -> dict[str, tuple[str, str]]:
    """Name -> (what stands in the README, what its JSON file says) of every block of a README.

    Raises `InputError` when a block has no end or no JSON file.
    """
    text = readme.read_text(encoding="utf-8")
    found = {}
    for part in text.split("<!-- results ")[1:]:
        name = part.split(" -->", 1)[0]
        inside, end, _ = part.split(" -->", 1)[1].partition(f"<!-- end {name} -->")
        if not end:
            raise InputError(f"{readme}: no line <!-- end {name} --> after <!-- results {name} -->")
        found[name] = (inside.strip(), block(read_json(readme.parent / "results" / f"{name}.json")).strip())
    return found


def update(run: RunDir, readme: Path, name: str) -> None:
    """Write `results/<name>.json` beside the README and the block of that name in it."""
    start, end = f"<!-- results {name} -->", f"<!-- end {name} -->"
    text = readme.read_text(encoding="utf-8")
    before, there, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (there and closed):
        raise InputError(f"{readme}: has no lines {start} and {end}; put them where the tables shall stand")
    found = results(run)
    write_json(readme.parent / "results" / f"{name}.json", found)
    atomic.write_text(readme, f"{before}{start}\n{block(found).strip()}\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=arguments, prog="python -m cervix_tf.report.readme")
        update(RunDir(options.run), options.readme, options.name)


if __name__ == "__main__":
    main()
