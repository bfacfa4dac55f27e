"""`python -m cervix_tf.evaluate MODEL --manifest M`: predictions, metrics with intervals, and a page."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro

from cervix_tf import atomic, progress, quiet, released, shown_paths
from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.run_dir import RunDir, write_json

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest
    from cervix_tf.evaluate.members import Wanted
    from cervix_tf.evaluate.selection import Selection
    from cervix_tf.evaluate.thresholds import Chosen
    from cervix_tf.export.runtime import Model

ROW = "row.json"
"""What a model is worth on each of several manifests, in their common folder."""


@dataclass(frozen=True)
class Options:
    """Evaluate a finished model on the images of one or more manifests.

    Writes predictions.csv, metrics.json and report.html. Needs only the model's own files and the manifest.
    """

    model: tyro.conf.Positional[Path]
    """Run directory, SavedModel folder, .tflite, .onnx or .keras file (the last beside its contract.json), or the
    name of a released model (saved_models/README.md)."""
    manifest: tuple[Path, ...]
    """CSV with one row per image, from `python -m cervix_tf.data import`. Given several, such as the data of other
    hospitals, the results of each are written to a folder of its own, and row.json compares them."""
    root: tuple[Path, ...] = ()
    """Folder that the manifest's paths are relative to; the manifest's own folder if not given. For several manifests,
    one folder for all or one for each."""
    split: str = "test"
    """Rows to evaluate: those with this value in the column split; "all" = every row. Where no row has a split,
    all are evaluated too."""
    view: str = ""
    """For a model of single images: only this kind of view, such as green or acetic."""
    by: tuple[Literal["age", "site", "device", "view"], ...] = ()
    """Also give metrics for each age group, site, device (scanner, camera) or kind of view, and how far apart they
    are."""
    damaged: Literal["fail", "skip"] = "fail"
    """What to do with images that are damaged or otherwise cannot be read: stop and name them, or leave them out, named
    and counted."""
    aggregate: Literal["mean", "max"] | None = None
    """One prediction per case (a group, where cases are not named) instead of one per image."""
    validation_split: str = "validation"
    """Split used to choose thresholds and prediction sets; must differ from --split."""
    margin: float | None = None
    """Also evaluate the rule that a row is positive if its margin exceeds this value. The margin is the highest
    probability among the positive classes minus the highest among the others: -1 makes every row positive, 1 none."""
    operating_point: str = ""
    """Also measure how good the model is at a threshold chosen on the validation rows: sensitivity:0.95 or
    specificity:0.9 (reach that rate there), youden (best sum of both rates), or cost:10 (a missed positive costs as
    much as ten false alarms). With several manifests, it is chosen once, on the first, and tested on all. Without this
    option, the threshold in the model's contract is used, if `python -m cervix_tf.export` has put one there."""
    prevalence: float | None = None
    """Share of positives where the model is to be used (among cells or women: whatever one answer is about), such as
    0.05: gives predictive values at that prevalence, for the operating point or else the most probable class."""
    set_error: float | None = None
    """Also give sets of classes that miss the true one in at most this share of each class, such as 0.1, based on the
    validation rows, and the error that remains when the least sure images are deferred to a person."""
    repeatability: bool = False
    """Also measure how consistently the model decides on several images of one case (column case, else group): kappa,
    and the share of cases decided both ways. For images that show the same thing, not for cells of one slide."""
    uncertainty: tuple[Literal["flips", "turns", "dropout"], ...] = ()
    """Also measure how well the spread of several answers to one image measures uncertainty, compared with the
    probability of the most probable class: flipped images, images also turned by a quarter (for cells, not for
    photographs with an upright), or passes with dropout (needs the run's Keras model)."""
    ensemble: tuple[Path, ...] = ()
    """The same for models of one study trained with other seeds, together with this one."""
    samples: int = 20
    """Number of passes with dropout."""
    data: str = ""
    """Name of the data in the results; if not given, the manifest's file name and the split."""
    synthetic: bool | None = None
    """Label the results as synthetic; if not given, as the model's contract says."""
    stand_in: bool | None = None
    """Label the results as resting on a stand-in data set; if not given, as the model's contract says."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("evaluation")
    """Folder for the results."""
    batch_size: int = 32
    """Images or cases at a time."""
    resamples: int = 2000
    """Bootstrap resamples."""
    seed: int = 0
    """Seed of the bootstrap."""
    no_images: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show no patients' images in the report."""


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says; wrong input ends with exit code 2 and a message."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.evaluate")
        command = shown_paths.command(["python", "-m", "cervix_tf.evaluate", *arguments])
        print(evaluate(options, command))


def evaluate(options: Options, command: str = "") -> str:
    """The results as text, after writing them to `options.out`.

    Raises `InputError` when manifest and model do not fit together.
    """
    from cervix_tf.data import manifest
    from cervix_tf.evaluate import evaluation, selection, text
    from cervix_tf.evaluate.members import Wanted
    from cervix_tf.export import runtime

    _check(options)
    outs = _folders(options)
    roots = options.root if len(options.root) > 1 else (options.root or (None,)) * len(outs)
    listed = {path: manifest.read(path, root) for path, root in zip(outs, roots, strict=True)}
    with quiet.libraries():
        model = runtime.load(options.model)
        others = tuple(runtime.load(path) for path in options.ensemble)
    wanted = Wanted(options.uncertainty, options.samples, others)
    asked = (options.margin, bool(options.operating_point), options.prevalence, options.repeatability)
    evaluation.check(model.contract, *asked, options.aggregate, options.by)
    selected: dict[Path, Selection] = {}
    for path in outs:  # all of them before the first one is evaluated, so that nothing is half written
        with _naming(path, options):
            selected[path] = selection.select(
                model,
                listed[path],
                str(path),
                split=options.split,
                view=options.view,
                validation_split=options.validation_split,
                damaged=options.damaged,
                sets=options.set_error is not None,
            )
            of_rows = (options.set_error, options.repeatability, options.aggregate, options.by)
            rule = options.operating_point if path == options.manifest[0] else ""
            evaluation.check_rows(model, selected[path], *of_rows, options.validation_split, rule)
    found: dict[Path, _Evaluated] = {}
    point: str | Chosen = options.operating_point
    for at, (path, out) in enumerate(outs.items(), 1):
        with _naming(path, options), progress.stage(f"evaluating on {path.name}, {at} of {len(outs)}"):
            found[path] = _evaluated(options, model, wanted, path, listed[path], selected[path], out, command, point)
        point = found[path].chosen or point  # what the first one chose, the others test
    if len(found) == 1:
        return "\n".join(found[options.manifest[0]].lines)
    row = {outs[path].root.name: each.metrics for path, each in found.items()}
    atomic.claim(options.out, [ROW])
    write_json(options.out / ROW, {name: text.headline(metrics) for name, metrics in row.items()})
    told = [line for path, each in found.items() for line in (f"{outs[path].root.name}:", *each.lines, "")]
    said = [f"{outs[path].root.name}: {each.sentence}" for path, each in found.items() if each.sentence]
    return "\n".join([*told, *text.side_by_side(row), *said, f"row: {options.out / ROW}"])


@contextlib.contextmanager
def _naming(path: Path, options: Options) -> Iterator[None]:
    """Says of several manifests which one an error is about."""
    try:
        yield
    except InputError as error:
        if len(options.manifest) == 1 or str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from None


class _Evaluated(NamedTuple):
    metrics: dict[str, Any]
    lines: list[str]
    sentence: str
    """What it got wrong, counted in cases; empty where that is not known."""
    chosen: Chosen | None


def _evaluated(
    options: Options,
    model: Model,
    wanted: Wanted,
    path: Path,
    rows: Manifest,
    selected: Selection,
    out: RunDir,
    command: str,
    point: str | Chosen,
) -> _Evaluated:
    """The results of one manifest, which are written to `out`."""
    from dataclasses import replace

    from cervix_tf.data import manifest, readable
    from cervix_tf.evaluate import evaluation, text
    from cervix_tf.metrics import predictions
    from cervix_tf.report import checklist, page, summary_cards

    found = evaluation.evaluate(
        model,
        rows,
        str(path),
        by=options.by,
        aggregate=options.aggregate,
        validation_split=options.validation_split,
        margin=options.margin,
        operating_point=point,
        prevalence=options.prevalence,
        set_error=options.set_error,
        repeated=options.repeatability,
        uncertain=wanted,
        data=options.data or f"{_called(path, options)}, split {selected.split}",
        label=out.root.name if len(options.manifest) > 1 else path.name,
        synthetic=options.synthetic,
        stand_in=options.stand_in,
        batch_size=options.batch_size,
        resamples=options.resamples,
        seed=options.seed,
        selected=selected,
    )
    atomic.claim(out.root, _names(out))
    # What an earlier evaluation said of other predictions goes first, so that a kill leaves no mixture.
    atomic.discard(options.out, [ROW])
    stale = [out.report, out.metrics, out.seen, *([] if checklist.edited(out.checklist) else [out.checklist])]
    atomic.discard(out.root, [path.name for path in stale])
    predictions.write(found.predictions, out.predictions)
    manifest.write(found.tested, out.manifest)
    replace(model.contract, digest="").write(out.contract)  # the model it was sealed with is not here
    if model.seen is not None:
        model.seen.write(out.seen)
    where = shown_paths.kept(str(rows.root.resolve()))
    write_json(out.environment, {"command_line": command, "data_root": where, "report_images": not options.no_images})
    write_json(out.metrics, found.metrics)
    write_json(out.audit, readable.counts(found.left_out))
    page.evaluation(out.root)
    warnings = [note for note in found.notes if note.startswith("WARNING")]
    notes = [f"note: {note}" for note in found.notes if note not in warnings]
    sentence = summary_cards.in_cases(found.metrics)
    last = [f"all numbers, n and methods: {out.metrics}", sentence, f"report: {out.report}"]
    lines = [*warnings, *text.lines(found.metrics), *notes, *filter(None, last)]
    return _Evaluated(found.metrics, lines, sentence, found.chosen)


def _called(path: Path, options: Options) -> str:
    """The manifest's file name, with that of its folder where another one of them has the same."""
    same = [each.name for each in options.manifest].count(path.name) > 1
    return f"{path.resolve().parent.name}/{path.name}" if same else path.name


def _folders(options: Options) -> dict[Path, RunDir]:
    """Where the results of each manifest go: --out, or of several manifests a folder in it, called as the manifest.

    Raises `InputError` where two would have one name, or the folder holds something else.
    """
    several = options.manifest
    names = [path.stem for path in several]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{path.resolve().parent.name}-{path.stem}" for path in several]
    if len({name.casefold() for name in names}) < len(names):
        raise InputError(f"--manifest {' '.join(map(str, several))}: two have the same name; rename one, or its folder")
    outs = {
        path: RunDir(options.out / name if len(several) > 1 else options.out)
        for path, name in zip(several, names, strict=True)
    }
    for out in outs.values():
        if out.config.exists() or out.root.resolve() == released.find(options.model).resolve():
            raise InputError(f"{out.root}: is a run or the model itself; choose another folder with -o")
        atomic.check_results(out.root, _names(out))
    if len(several) > 1:
        atomic.check_results(options.out, [ROW])
    return outs


def _check(options: Options) -> None:
    from cervix_tf.metrics import operating_points

    model, out = released.find(options.model), RunDir(options.out)
    if not options.manifest:
        raise InputError("--manifest: give at least one; it takes everything after it, so put the model first")
    if len(options.manifest) > 1 and options.data:
        raise InputError(f"--data: is for one manifest, and {len(options.manifest)} are given; leave it out")
    if len(options.root) > 1 and len(options.root) != len(options.manifest):
        raise InputError(
            f"--root {' '.join(map(str, options.root))}: {len(options.root)} folders for {len(options.manifest)} "
            "manifests; give one for all, or one for each in their order"
        )
    for path in (options.model, *options.ensemble):
        if not released.find(path).exists():
            raise InputError(f"{path}: no such file or folder; give {released.KINDS}")
    if out.config.exists() or out.root.resolve() == model.resolve():
        raise InputError(f"{out.root}: is a run or the model itself; choose another folder with -o")
    if options.margin is not None and not -1 <= options.margin <= 1:
        raise InputError(f"--margin {options.margin:g}: must be from -1 to 1")
    if options.operating_point:
        operating_points.rule(options.operating_point)
    if options.prevalence is not None and not 0 < options.prevalence < 1:
        raise InputError(f"--prevalence {options.prevalence:g}: must be above 0 and below 1, such as 0.05 for 5 %")
    if options.set_error is not None and not 0 < options.set_error < 1:
        raise InputError(f"--set-error {options.set_error:g}: must be above 0 and below 1, such as 0.1 for 10 %")
    if options.samples < 2:
        raise InputError(f"--samples {options.samples}: must be at least 2")
    if options.batch_size < 1 or options.resamples < 100:
        raise InputError("--batch-size must be at least 1 and --resamples at least 100")


def _names(out: RunDir) -> list[str]:
    """The files that an evaluation writes."""
    written = (out.predictions, out.manifest, out.contract, out.seen, out.environment, out.metrics, out.audit)
    return [path.name for path in (*written, out.report, out.checklist)]


if __name__ == "__main__":
    main()
