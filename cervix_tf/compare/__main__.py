"""`python -m cervix_tf.compare RUN RUN ...`: which model is better, on the same cases, and is it chance?"""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from cervix_tf import atomic, progress
from cervix_tf.arguments import once
from cervix_tf.data import tables
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir, read_object, write_json
from cervix_tf.wording import amount


@dataclass(frozen=True)
class Options:
    """Compare finished runs on the cases that all of them predicted; networks of single images by the mean over each
    case.

    Writes comparison.json, comparison.csv and a forest plot, forest.png and forest.svg.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Two or more run directories, rows of one (RUN/rows/NAME) or predictions.csv files."""
    metric: Literal["accuracy", "auc", "macro_f1"] = "accuracy"
    """The metric to compare."""
    positive: tuple[str, ...] = ()
    """Classes that AUC counts as positive; if not given, those in the runs' metrics.json."""
    correction: Literal["holm", "bh"] = "holm"
    """For many pairs: Holm (any false alarm) or Benjamini-Hochberg (share of false alarms)."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("comparison")
    """Folder for the results."""
    resamples: int = 2000
    """Bootstrap resamples."""
    seed: int = 0
    """Seed of the bootstrap."""


def main(arguments: list[str] | None = None) -> None:
    """Compare as the command line says; wrong input ends with exit code 2 and a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.compare")
        print(run(options))


def run(options: Options) -> str:
    """The results as text, after writing them to `options.out`.

    Raises `InputError` when the runs cannot be paired.
    """
    from cervix_tf.compare import comparison, forest, overlaps, pairing

    if len(options.runs) < 2:
        raise InputError("a comparison needs at least two runs; name them one after the other")
    if options.resamples < 100:
        raise InputError("--resamples must be at least 100")
    if options.positive and options.metric != "auc":
        raise InputError(f"--positive is for --metric auc, not {options.metric}; leave it out")
    names = ("comparison.json", "comparison.csv", "forest.png", "forest.svg")
    table, lines, *plots = (options.out / name for name in names)
    atomic.check_results(options.out, names)
    models = pairing.read(options.runs)
    positive = options.positive or pairing.positive(options.runs, models)
    with progress.stage(f"comparing by {options.resamples} resamples"):
        found = comparison.compare(
            models,
            options.metric,
            positive=positive,
            correction=options.correction,
            resamples=options.resamples,
            seed=options.seed,
        )
    found["labels"] = _labels(options.runs)
    overlapping = overlaps.of(options.runs, models)
    found["seen"] = {
        name: {"unknown": each} if isinstance(each, str) else each.summary() for name, each in overlapping.items()
    }
    atomic.claim(options.out, names)
    write_json(table, found)
    atomic.write_text(lines, _csv(found))
    forest.draw(found, plots)
    return "\n".join([*_seen(found["seen"]), *_table(found), f"written to {options.out}"])


def _seen(found: dict[str, dict[str, Any]]) -> list[str]:
    """What a reader has to know first: models that had seen what they are compared on."""
    warnings = [f"WARNING: {name}: {each}" for name, said in found.items() for each in said.get("warnings", ())]
    return warnings + [f"note: {name}: {said['unknown']}" for name, said in found.items() if "unknown" in said]


def _labels(runs: tuple[Path, ...]) -> list[str]:
    """SYNTHETIC and STAND-IN where any run's metrics.json says so."""
    paths = [RunDir(run if run.is_dir() else run.parent).metrics for run in runs]
    said = [read_object(path) for path in paths if path.is_file()]
    words = {"synthetic": "SYNTHETIC", "stand_in": "STAND-IN"}
    return [word for key, word in words.items() if any(metrics.get(key) for metrics in said)]


def _csv(found: dict[str, Any]) -> str:
    """One line a pair."""
    columns = ["first", "second", "difference", "low", "high", "n", "method", "p", "p_corrected", "test"]
    columns += ["only_first", "only_second", "same_decision", "kappa", "kappa_low", "kappa_high"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for pair in found["pairs"]:
        difference, kappa = pair["difference"], pair["kappa"]
        flat = {**pair, **difference, "difference": difference["value"], "kappa": kappa["value"]}
        flat = {**flat, "kappa_low": kappa["low"], "kappa_high": kappa["high"]}
        writer.writerow({name: tables.shielded(cell) if isinstance(cell, str) else cell for name, cell in flat.items()})
    return text.getvalue()


def _table(found: dict[str, Any]) -> list[str]:
    marked = f" [{', '.join(found['labels'])} DATA]" if found["labels"] else ""
    of = f" of {' or '.join(found['positive'])}" if found["positive"] else ""
    counted = f"{amount(found['n'], 'row')}, {amount(found['groups'], 'group')}"
    lines = [f"{found['metric']}{of}: {counted}{marked}"]
    for name, value in found["models"].items():
        lines.append(f"  {name:<40} {_numbers(value)}  {value['method']}")
    lines.append("first minus second:")
    for pair in found["pairs"]:
        lines += [
            f"  {pair['first']} - {pair['second']}",
            f"    {_numbers(pair['difference'])}  {pair['difference']['method']}",
            f"    p = {pair['p']:.4g} ({pair['test']}), {found['correction']}: {pair['p_corrected']:.4g}",
            f"    kappa of the decisions {_numbers(pair['kappa'])}",
        ]
    return lines


def _numbers(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return "-"
    ends = "" if value["low"] is None else f" [{value['low']:z.3f}, {value['high']:z.3f}]"
    return f"{value['value']:z.3f}{ends}"


if __name__ == "__main__":
    main()
