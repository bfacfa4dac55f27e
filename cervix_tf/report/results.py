"""Results of runs in the documentation, so that the printed numbers are the measured ones; nobody types a result.

`python -m cervix_tf.report.results RUN FOLDER NAME` writes `FOLDER/NAME.json`, what a run found, `FOLDER/NAME/`,
histories and test predictions (see `cervix_tf.report.archive`), and `FOLDER/README.md`, the page of all results there.
A single number elsewhere stands between `<!-- cell FILE; TABLE; ROW; COLUMN -->` and `<!-- end -->`; TABLE is `6`, or
`6 over seeds` for the means over several seeds. `--cells PAGE` writes these again. A test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from cervix_tf import atomic, shown_paths, start
from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.report import archive, tables
from cervix_tf.run_dir import RunDir, read_json, read_object, write_json

_GENERATED = "Generated from the JSON files beside this page by `python -m cervix_tf.report.results`"
_CELL = re.compile(r"<!-- cell ([^;>]+); ([^;>]+); ([^;>]+); ([^;>]+?) -->(.*?)<!-- end -->")
_OVER_SEEDS = " over seeds"


@dataclass(frozen=True)
class Options:
    """Put the tables of a finished run on the page of results beside a study."""

    run: tyro.conf.Positional[Path]
    """Run directory."""
    folder: tyro.conf.Positional[Path]
    """Folder of the results, experiments/<paper>/results."""
    name: tyro.conf.Positional[str]
    """Name of the result: letters, digits and hyphens."""
    cells: tuple[Path, ...] = ()
    """Pages whose single numbers to write again; their FILEs are relative to the current folder, the checkout."""


def of_run(run: RunDir) -> dict[str, Any]:
    """What the documentation says of a run: its tables, how they were made, on what, how long training took."""
    from cervix_tf import history_file

    environment = read_object(run.environment)
    if missing := sorted({"command_line", "commit", "processor"} - environment.keys()):
        raise InputError(f"{run.environment}: has no {', '.join(missing)}; give the folder of a finished run")
    histories = [row.history for row in (run, *run.rows.values()) if row.history.exists()]
    seconds = sum(history_file.read(path)["seconds"].sum() for path in histories)
    of_seeds = {"tables_of_seeds": read_json(run.tables_of_seeds)} if run.tables_of_seeds.exists() else {}
    every = (*environment.get("earlier", ()), environment)
    commands = [shown_paths.published_command(each["command_line"], environment.get("data_root", "")) for each in every]
    return {
        "command": " && ".join(dict.fromkeys(commands)),
        "commit": start.commits(environment),
        "processor": environment["processor"],
        "training_minutes": round(float(seconds) / 60, 1),
        "tables": read_json(run.tables),
        **of_seeds,
    }


def page(folder: Path) -> str:
    """The Markdown page of all results in a folder, by name."""
    legend = tables.Legend()
    parts = [
        f"# Results of {folder.parent.name}",
        f"{_GENERATED}: each is one run. "
        "Where test predictions are kept, `python -m cervix_tf.report.archive` joins them with your copy of the images "
        "([guide](../../../docs/guides/use_a_model.md#compare-with-a-published-run)).",
    ]
    for file in sorted(folder.glob("*.json")):
        found = read_json(file)
        how = f"{found['training_minutes']:g} minutes of training on {found['processor']}."
        if (kept := file.with_suffix("")).is_dir():
            what = "histories and test predictions" if any(kept.rglob(RunDir(kept).predictions.name)) else "histories"
            how += f" Kept: [{what}]({file.stem}/)."
        parts.append(f"## {file.stem}\n\n`{found['command']}` at commit {found['commit']}; {how}")
        parts.append(tables.markdown([*found["tables"], *found.get("tables_of_seeds", ())], legend).rstrip())
    parts.append("\n".join(["## Notes", "", *(f"{line}  " for line in legend.lines())]))
    return "\n\n".join(parts) + "\n"


def update(run: RunDir, folder: Path, name: str) -> None:
    """Write a run's result and its archive into the folder, and the folder's page again."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise InputError(f"{name!r}: give lower-case letters, digits and hyphens")
    found = of_run(run)
    result, overview = folder / f"{name}.json", folder / "README.md"
    atomic.check_target(result, ours=_is_result)
    atomic.check_target(overview, ours=lambda path: _GENERATED in path.read_text(encoding="utf-8", errors="replace"))
    archive.write(run, folder / name)
    write_json(result, found)
    atomic.write_text(overview, page(folder))


def _is_result(path: Path) -> bool:
    """Whether a file is a result that `update` wrote."""
    try:
        return read_object(path).keys() >= {"command", "commit", "tables"}
    except InputError:
        return False


def with_cells(text: str, root: Path) -> str:
    """A page's text with every marked number as its result file, relative to `root`, has it.

    Raises `InputError` when a file has no such table, row or column.
    """

    def number(found: re.Match[str]) -> str:
        file, *names = (part.strip() for part in found.groups()[:4])
        return found.group(0)[: found.start(5) - found.start(0)] + _cell(root / file, *names) + "<!-- end -->"

    return _CELL.sub(number, text)


def _cell(file: Path, number: str, name: str, column: str) -> str:
    which = "tables_of_seeds" if number.endswith(_OVER_SEEDS) else "tables"
    for table in read_json(file).get(which, ()):
        if str(table.get("number")) == number.removesuffix(_OVER_SEEDS) and column in table["columns"]:
            lines = [row for row in table["rows"] if row["name"] == name]
            lines = lines or [row for row in table["rows"] if row.get("row") == name]
            if len(lines) > 1:
                raise InputError(
                    f"{file}: table {number!r} has {len(lines)} lines of the row {name!r}; give the name of one: "
                    + ", ".join(repr(row["name"]) for row in lines)
                )
            for row in lines:
                _, ours = tables.cells(table, row)[table["columns"].index(column)]
                return ours.replace("\u00a0", " ")
    raise InputError(f"{file}: has no table {number!r} with a row {name!r} and a column {column!r}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.report.results")
        update(RunDir(options.run), options.folder, options.name)
        for path in options.cells:
            atomic.write_text(path, with_cells(path.read_text(encoding="utf-8"), Path()))


if __name__ == "__main__":
    main()
