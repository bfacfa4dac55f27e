"""The tables of one study over several seeds: mean and standard deviation of what each seed's run found."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence

from cervix_tf.report import page, tables
from cervix_tf.report.tables import Measured, Row, Table
from cervix_tf.run_dir import RunDir

_BETWEEN_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")


def conclude(runs: Mapping[int, RunDir]) -> None:
    """Print the tables over all seeds' runs, and add them to the report of the first."""
    first = next(iter(runs.values()))
    found = over({seed: tables.read(out.tables) for seed, out in runs.items()})
    tables.write(first.tables_of_seeds, found)
    tables.console(found)
    print(f"report {page.run(first)}")


def over(found: Mapping[int, Sequence[Table]]) -> list[Table]:
    """The seeds' tables with mean and standard deviation (n - 1) over all seeds in place of ours.

    A table, line or number that a seed's run lacks, or has undefined, is left out of its mean, and the title, the
    line or the method says so; with fewer than two it stays empty. What runs chose, each for itself, is told of each.
    """
    of_seeds = {
        seed: {(table.get("number"), table.get("title"), tuple(table["columns"])): table for table in each}
        for seed, each in found.items()
    }
    keys = dict.fromkeys(key for there in of_seeds.values() for key in there)
    return [_table({seed: there[key] for seed, there in of_seeds.items() if key in there}, found) for key in keys]


def _table(of_seeds: Mapping[int, Table], seeds: Iterable[int]) -> Table:
    """One table out of those of the seeds that have it."""
    first = next(iter(of_seeds.values()))
    lines = {seed: {_key(row): row for row in table["rows"]} for seed, table in of_seeds.items()}
    keys = dict.fromkeys(key for there in lines.values() for key in there)
    rows = [_row({seed: there[key] for seed, there in lines.items() if key in there}, first, of_seeds) for key in keys]
    title = f"{first.get('title', '')}, over {_named(of_seeds)}"
    if lacking := _lacking(of_seeds, seeds):
        title += f" ({_named(lacking)} without such a table)"
    made = Table({**first, "title": title, "rows": rows, "spread": "± deviation"})
    if "note" in first:
        made["note"] = _note({seed: table.get("note", "") for seed, table in of_seeds.items()})
    return made


def _row(lines: Mapping[int, Row], table: Table, seeds: Iterable[int]) -> Row:
    """One line out of those of the seeds that have it."""
    first = next(iter(lines.values()))
    name, chosen = _key(first), _grouped({seed: row.get("chosen", "") for seed, row in lines.items()})
    name += ", ".join(what + (f" ({_named(which)})" if len(chosen) > 1 else "") for what, which in chosen.items())
    if lacking := _lacking(lines, seeds):
        name += f" ({_named(lacking)} without such a line)"
    ours = {seed: row.get("ours") or [None] * len(table["columns"]) for seed, row in lines.items()}
    cells = [_mean({seed: each[at] for seed, each in ours.items()}, seeds) for at in range(len(table["columns"]))]
    row = Row({**first, "name": name, "ours": cells})
    row.pop("chosen", None)
    return row


def _key(row: Row) -> str:
    """A line's name without what its run chose."""
    return row["name"].removesuffix(row.get("chosen", ""))


def _mean(measured: Mapping[int, Measured | None], seeds: Iterable[int]) -> Measured | None:
    values = {
        seed: float(value) for seed, each in measured.items() if each and (value := each.get("value")) is not None
    }
    if len(values) < 2:
        return None
    method = f"mean and standard deviation over {_named(values)}"
    if lacking := _lacking(values, seeds):
        method += f"; not measured or not defined in {_named(lacking)}"
    return Measured(
        value=statistics.fmean(values.values()),
        deviation=statistics.stdev(values.values()),
        n=len(values),
        method=method,
    )


def _note(notes: Mapping[int, str]) -> str:
    """What the seeds' notes say alike, but for the seed itself, once; each sentence that differs seed by seed."""
    sentences = {seed: _BETWEEN_SENTENCES.split(note) for seed, note in notes.items()}
    if len({len(each) for each in sentences.values()}) > 1:
        sentences = {seed: [note] for seed, note in notes.items()}
    said = []
    for at_once in zip(*sentences.values(), strict=True):
        of_seeds = dict(zip(notes, at_once, strict=True))
        alike = {re.sub(rf"\bseed {seed}\b", _named(notes), text) for seed, text in of_seeds.items()}
        if len(alike) > 1:
            said += [f"{_named(which).capitalize()}: {text}" for text, which in _grouped(of_seeds).items()]
        else:
            said += alike
    return " ".join(said)


def _grouped(texts: Mapping[int, str]) -> dict[str, list[int]]:
    """The seeds that say each text."""
    found: dict[str, list[int]] = {}
    for seed, text in texts.items():
        found.setdefault(text, []).append(seed)
    return found


def _lacking(found: Mapping[int, object], seeds: Iterable[int]) -> list[int]:
    return [seed for seed in seeds if seed not in found]


def _named(seeds: Iterable[int]) -> str:
    numbers = [str(seed) for seed in seeds]
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
