"""`python -m cervix_tf.evaluate MODEL --manifest M`: predictions, metrics with intervals, and a page."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from cervix_tf import shown_paths
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir, write_json

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest
    from cervix_tf.evaluate.predictions import Predictions

EVERYTHING = "all"


@dataclass(frozen=True)
class Options:
    """Evaluate a finished model on the images of a manifest.

    Writes predictions.csv, metrics.json and report.html. Nothing but the model's own
    files and the manifest is needed.
    """

    model: tyro.conf.Positional[Path]
    """Run directory, SavedModel folder or .tflite file."""
    manifest: Path
    """CSV with one row an image, from `python -m cervix_tf.data import`."""
    root: Path | None = None
    """Folder that the manifest's paths are relative to; the manifest's own folder if not given."""
    split: str = "test"
    """Rows to evaluate: those with this value in the column split; "all" = every row."""
    view: str = ""
    """For a model of single images: only this kind of view, such as green or acetic."""
    by: tuple[Literal["age", "site", "view"], ...] = ()
    """Metrics also for each age group, site or kind of view."""
    aggregate: Literal["mean", "max"] | None = None
    """One prediction a case (a group, where cases are not named) instead of one an image."""
    validation_split: str = "validation"
    """Rows on which thresholds for a fixed specificity are chosen; never those of --split."""
    data: str = ""
    """Name of the data in the results; the manifest's file name and the split if not given."""
    synthetic: bool | None = None
    """Label the results as synthetic; as the model's contract says if not given."""
    stand_in: bool | None = None
    """Label the results as resting on a stand-in data set; as the model's contract says if not given."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("evaluation")
    """Folder for the results."""
    batch_size: int = 32
    """Images or cases at a time."""
    resamples: int = 2000
    """Bootstrap resamples."""
    seed: int = 0
    """Of the bootstrap."""
    no_images: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show no patients' images on the page."""


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says; wrong input ends with exit code 2 and a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with exit_cleanly():
        options = tyro.cli(Options, args=arguments, prog="python -m cervix_tf.evaluate")
        command = shown_paths.command(["python", "-m", "cervix_tf.evaluate", *arguments])
        print(evaluate(options, command))


def evaluate(options: Options, command: str = "") -> str:
    """The results as text, after writing them to `options.out`.

    Raises `InputError` when manifest and model do not fit together.
    """
    from cervix_tf.data import manifest
    from cervix_tf.evaluate import metrics, predictions, strata
    from cervix_tf.export import runtime
    from cervix_tf.report import page

    out = RunDir(options.out)
    _check(options, out)
    rows = manifest.read(options.manifest, options.root)
    tested = _part(rows, options.split, options.manifest)
    model = runtime.load(options.model)
    contract = model.contract
    manifest.check_labels(tested, contract.classes, str(options.manifest))
    found, notes = _predict(model, tested, options)
    notes += _trained_on(options, tested)
    validation = _validation(model, rows, options) if contract.positive else None
    if contract.positive and validation is None:
        notes.append("no validation rows: no threshold for a fixed specificity was chosen")
    if options.aggregate:
        found = _aggregated(found, options.aggregate)
        validation = _aggregated(validation, options.aggregate) if validation else None
    synthetic = contract.synthetic if options.synthetic is None else options.synthetic
    stand_in = contract.stand_in if options.stand_in is None else options.stand_in
    summary = metrics.summary(
        found,
        positive=contract.positive,
        validation=validation,
        seed=options.seed,
        resamples=options.resamples,
        data=options.data or f"{options.manifest.name}, split {options.split}",
        synthetic=synthetic,
        stand_in=stand_in,
    )
    summary["strata"] = {
        by: strata.stratified(found, by, positive=contract.positive, seed=options.seed, resamples=options.resamples)
        for by in options.by
    }
    predictions.write(found, out.predictions)
    manifest.write(tested, out.manifest)
    contract.write(out.contract)
    where = shown_paths.kept(str(rows.root.resolve()))
    write_json(out.environment, {"command_line": command, "data_root": where, "report_images": not options.no_images})
    write_json(out.metrics, summary)
    page.evaluation(out.root)
    return "\n".join([*_table(summary), *(f"note: {note}" for note in notes), f"written to {out.root}"])


def _check(options: Options, out: RunDir) -> None:
    if not options.model.exists():
        raise InputError(f"{options.model}: no such file or folder; give a run, a SavedModel or a .tflite")
    if out.config.exists() or out.root.resolve() == options.model.resolve():
        raise InputError(f"{out.root}: is a run or the model itself; choose another folder with -o")
    if options.aggregate and "view" in options.by:
        raise InputError("--by view: after --aggregate a row is a case with all its views; leave one of them out")
    if options.batch_size < 1 or options.resamples < 100:
        raise InputError("--batch-size must be at least 1 and --resamples at least 100")


def _part(rows: Manifest, split: str, name: Path) -> Manifest:
    if split == EVERYTHING:
        return rows
    part = rows.part(split)
    if not len(part):
        there = Counter(value or "(none)" for value in rows.rows["split"])
        counts = ", ".join(f"{value} ({count} rows)" for value, count in there.items())
        raise InputError(f"{name}: no row with split {split!r}; there is {counts}: choose with --split, or --split all")
    return part


def _predict(model: Any, rows: Manifest, options: Options) -> tuple[Predictions, list[str]]:
    """Predictions of one split and what a reader should know about them."""
    from cervix_tf.data import inputs
    from cervix_tf.evaluate import predictions
    from cervix_tf.export import runtime

    contract, notes = model.contract, []
    if contract.views:
        if (rows.rows["view"] == "").all():
            raise InputError(
                f"{options.manifest}: no row names its view, but {options.model} ({contract.task}) takes "
                f"cases of {', '.join(contract.views)}; fill the columns case and view, "
                "or use a model of single images"
            )
        chosen, left_out = inputs.of_cases(rows, contract.classes, contract.views)
        notes = [f"{count} cases left out: {reason}" for reason, count in left_out.items()]
    else:
        chosen = inputs.of_images(rows, contract.classes, options.view)
        unlabelled = len(rows) - len(chosen)
        notes = [f"{unlabelled} rows left out: unlabelled or another view"] if unlabelled else []
    missing = [file for files in chosen.files for file in files if not Path(file).is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}: no such file{more}; is --root {rows.root} the folder of the images?")
    probabilities = runtime.probabilities(model, chosen.files, options.batch_size)
    return predictions.of_rows(chosen.rows, probabilities, contract.classes), notes


def _validation(model: Any, rows: Manifest, options: Options) -> Predictions | None:
    """Predictions on the validation rows of the manifest, else those that the run itself kept, else None."""
    from cervix_tf.evaluate import predictions

    if options.split not in (EVERYTHING, options.validation_split):
        part = rows.part(options.validation_split)
        if (part.rows["label"] != "").any():
            return _predict(model, part, options)[0]
    kept = RunDir(options.model).validation_predictions
    return predictions.read(kept) if kept.is_file() else None


def _trained_on(options: Options, tested: Manifest) -> list[str]:
    """A warning when the run's own manifest says that some of these files trained the model."""
    from cervix_tf.data import manifest

    used = RunDir(options.model).manifest
    if not used.is_file():
        return []
    train = set(manifest.read(used).part("train").rows["sha256"]) - {""}
    seen = int(tested.rows["sha256"].isin(train).sum())
    return [f"WARNING: the model was trained on {seen} of these {len(tested)} files"] if seen else []


def _aggregated(found: Predictions, how: Literal["mean", "max"]) -> Predictions:
    from cervix_tf.evaluate import predictions

    named = (found.table["case"] != "").any()
    if not named and not (found.table["group"] != "").any():
        raise InputError("--aggregate: no row has a case or a group; fill one of these columns of the manifest")
    return predictions.aggregate(found, "case" if named else "group", how)


def _table(summary: dict[str, Any]) -> list[str]:
    """The headline as lines of text: metric, value, interval, n, method."""
    labels = [word for word, holds in (("SYNTHETIC", summary["synthetic"]), ("STAND-IN", summary["stand_in"])) if holds]
    marked = f" [{', '.join(labels)} DATA]" if labels else ""
    lines = [f"{summary['n']} rows, {summary['groups']} groups: {summary['data']}{marked}"]
    lines += [_line(name, found) for name, found in summary["metrics"].items()]
    if summary["binary"]:
        lines.append(f"read as {' or '.join(summary['binary']['positive'])} against the rest:")
        lines += [_line(name, found) for name, found in summary["binary"]["metrics"].items()]
    for name, found in summary["per_class"].items():
        lines.append(f"{name}:")
        lines += [_line(metric, found[metric]) for metric in ("sensitivity", "specificity")]
    for by, of_stratum in summary["strata"].items():
        lines.append(f"accuracy by {by}:")
        lines += [_line(name, found["metrics"]["accuracy"]) for name, found in of_stratum.items()]
    return lines


def _line(name: str, found: dict[str, Any]) -> str:
    value = "-" if found["value"] is None else f"{found['value']:.3f}"
    ends = "" if found["low"] is None else f"[{found['low']:.3f}, {found['high']:.3f}]"
    return f"  {name:<30} {value:>6} {ends:<16} n={found['n']:<6} {found['method']}"


if __name__ == "__main__":
    main()
