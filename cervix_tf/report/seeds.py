"""The tables of one study over several seeds: mean and standard deviation of what each seed's run found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from cervix_tf.report import page, tables
from cervix_tf.report.tables import Measured, Row, Table
from cervix_tf.run_dir import RunDir


def conclude(runs: Mapping[int, RunDir]) -> None:
    """Print the tables over all seeds' runs, and add them to the report of the first."""
    first = next(iter(runs.values()))
    found = over({seed: tables.read(out.tables) for seed, out in runs.items()})
    tables.write(first.tables_of_seeds, found)
    tables.console(found)
    print(f"report {page.run(first)}")


def over(found: Mapping[int, Sequence[Table]]) -> list[Table]:
    """The first seed's tables with mean and standard deviation (n - 1) over all seeds in place of ours.

    A number that a seed's run lacks, or has undefined, is left out of its mean, and the
    method says which seeds it rests on; with fewer than two it stays empty.
    """
    rows = {
        seed: {(table.get("number"), row["name"]): row for table in each for row in table["rows"]}
        for seed, each in found.items()
    }
    result = []
    for table in next(iter(found.values())):
        columns = len(table["columns"])
        of_rows: list[Row] = []
        for row in table["rows"]:
            ours = {seed: there.get((table.get("number"), row["name"]), {}).get("ours") for seed, there in rows.items()}
            cells = [
                _mean({seed: each[at] for seed, each in ours.items() if each is not None}) for at in range(columns)
            ]
            of_rows.append({**row, "ours": cells})
        title = f"{table.get('title', '')}, over seeds {', '.join(map(str, found))}"
        result.append(Table({**table, "title": title, "rows": of_rows, "spread": "± deviation"}))
    return result


def _mean(measured: Mapping[int, Measured | None]) -> Measured | None:
    values = {
        seed: float(value) for seed, each in measured.items() if each and (value := each.get("value")) is not None
    }
    if len(values) < 2:
        return None
    return Measured(
        value=statistics.fmean(values.values()),
        deviation=statistics.stdev(values.values()),
        n=len(values),
        method=f"mean and standard deviation over seeds {', '.join(map(str, values))}",
    )
