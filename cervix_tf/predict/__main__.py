"""`python -m cervix_tf.predict MODEL IMAGE|FOLDER|CASE ...`: class probabilities as a table or JSON."""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from cervix_tf import atomic, quiet
from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly

if TYPE_CHECKING:
    import numpy as np

    from cervix_tf.contract import Contract
    from cervix_tf.quality import Problem

    Problems = Sequence[tuple[Problem, ...]]


@dataclass(frozen=True)
class Options:
    """Predict class probabilities of images, or of cases whose images are a model's views.

    Research only: not a medical device.
    """

    model: tyro.conf.Positional[Path]
    """Run directory, SavedModel folder, .tflite, .onnx or .keras file (the last beside its contract.json), or the
    name of a released model (saved_models/README.md)."""
    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Images, folders of images, or, for a model of several views, case folders with one image per view, in the order
    of the views by name; fewer images if the model's contract allows it and each file's name says its view."""
    json: bool = False
    """Print JSON instead of a table."""
    heatmap: Path | None = None
    """Folder for pictures of where the evidence is (Grad-CAM++), one per input; the model must be a run directory or a
    .keras file."""
    margin: float | None = None
    """Also say of each input whether it is positive: whether the likeliest of the model's positive classes is ahead of
    the likeliest other one by more than this, -1 (always) to 1 (never). Without this option, a model whose contract has
    an operating point decides by that."""
    damaged: Literal["fail", "skip"] = "fail"
    """What to do with inputs whose images are damaged or otherwise cannot be read: stop and name them, or leave them
    out, named and counted."""
    batch_size: int = 1
    """Inputs at a time; more only helps on a GPU."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.predict")
        if not options.inputs:
            raise InputError("nothing to predict: give images, folders or case folders after the model")
        if options.batch_size < 1:
            raise InputError("--batch-size must be at least 1")
        if options.margin is not None and not -1 <= options.margin <= 1:
            raise InputError(f"--margin {options.margin:g}: must be from -1 to 1")
        if options.heatmap is not None:
            _check_apart(options.heatmap, options.inputs)
        from cervix_tf.data import images
        from cervix_tf.export import runtime
        from cervix_tf.predict import files

        with quiet.libraries():
            model = runtime.load(options.model)
            network = runtime.keras_model(model) if options.heatmap is not None else None
        if options.margin is not None and not model.contract.positive:
            raise InputError(f"--margin: {model.contract.task} has no positive classes; leave it out")
        left_out: dict[str, str] = {}
        skip = options.damaged == "skip"
        found = files.inputs_of(options.inputs, model.contract, left_out if skip else None)
        if options.heatmap is not None:
            from cervix_tf.predict import pictures

            atomic.check_results(options.heatmap, [pictures.file_name(name) for name, _ in found])
        if skip:
            found, damaged = files.sound(found)
            left_out |= damaged
        elif len(found) > 1:  # all damaged images at once, and before the work
            images.check_files((file for _, each in found for file in each), skippable=True)
        probabilities, problems = runtime.answers(model, [each for _, each in found], options.batch_size)
        names = [name for name, _ in found]
        show = as_json if options.json else as_table
        print(show(model.contract, names, probabilities, options.margin, problems, left_out))
        if network is not None and options.heatmap is not None:
            with quiet.libraries():
                drawn = pictures.draw(network, model.contract, found, options.heatmap)
            for path in drawn:
                print(path, file=sys.stderr)


def _check_apart(heatmap: Path, inputs: Sequence[Path]) -> None:
    """Raise `InputError` where the next command on these inputs would take heat maps for images."""
    for path in inputs:
        if path.is_dir() and heatmap.resolve().is_relative_to(path.resolve()):
            raise InputError(
                f"--heatmap {heatmap}: is inside the input folder {path}, so the next run would read the heat maps as "
                "images; choose a folder outside it"
            )


def as_table(
    contract: Contract,
    names: Sequence[str],
    probabilities: np.ndarray,
    threshold: float | None = None,
    problems: Problems | None = None,
    left_out: Mapping[str, str] | None = None,
) -> str:
    """One line an input: its name, the probability of each class, the most probable class, perhaps whether positive,
    and below it what is wrong with its images; at the end why inputs were left out, by their names."""
    widths = [max(len(name), 6) for name in contract.classes]
    first = max(len("input"), *map(len, names))
    lines = [f"{'input':<{first}}  {'  '.join(f'{c:>{w}}' for c, w in zip(contract.classes, widths, strict=True))}  "]
    lines[0] += "most probable"
    said = _decided(contract, probabilities, threshold)
    decimals = 3
    if threshold is not None:
        decimals = _decimals([each["margin"] for each in said], threshold, operator.gt)
        lines[0] += f"  margin above {round(threshold, decimals):.9g}"
    elif (point := contract.operating_point) is not None:
        decimals = _decimals([each["score"] for each in said], point.threshold, operator.ge)
        lines[0] += f"  score from {round(point.threshold, decimals):.9g}"
    for at, (name, row) in enumerate(zip(names, probabilities, strict=True)):
        cells = "  ".join(f"{value:>{width}.3f}" for value, width in zip(row, widths, strict=True))
        most = contract.classes[int(row.argmax())]
        lines.append(f"{name:<{first}}  {cells}  {most}")
        if said[at]:
            shown = (
                f"{said[at]['margin']:+.{decimals}f}" if "margin" in said[at] else f"{said[at]['score']:.{decimals}f}"
            )
            lines[-1] += f"{'':<{13 - len(most)}}  {shown} {'positive' if said[at]['positive'] else 'negative'}"
        if problems and problems[at]:
            lines.append(f"{'':<{first}}  QUALITY: {'; '.join(map(str, problems[at]))}")
    return "\n".join([*lines, *_left_out(left_out or {}, len(names)), *_notes(contract, threshold)])


def _left_out(reasons: Mapping[str, str], answered: int) -> list[str]:
    if not reasons:
        return []
    return [
        f"{len(reasons)} of {answered + len(reasons)} inputs left out:",
        *(f"  {each}" for each in reasons.values()),
    ]


def _decided(contract: Contract, probabilities: np.ndarray, threshold: float | None) -> list[dict[str, Any]]:
    """Whether each input is positive, and by what: its margin, where a threshold of margins is given, else the score
    of the contract's operating point; nothing where the contract has none."""
    index = [contract.classes.index(name) for name in contract.positive]
    if threshold is not None:
        from cervix_tf.metrics import margin

        name, values = "margin", margin.margins(probabilities, index)
        called = margin.called(values, threshold)
    elif contract.operating_point is not None:
        name = "score"
        values, called = contract.operating_point.called(probabilities, index)
    else:
        return [{}] * len(probabilities)
    return [{name: float(value), "positive": bool(yes)} for value, yes in zip(values, called, strict=True)]


def _decimals(values: Sequence[float], limit: float, positive: Callable[[float, float], bool]) -> int:
    """Decimals, 3 or more, with which each value as it is shown lies on the side of the limit that decided it."""
    for decimals in range(3, 9):
        shown = round(limit, decimals)
        if all(positive(round(value, decimals), shown) == positive(value, limit) for value in values):
            return decimals
    return 9


def as_json(
    contract: Contract,
    names: Sequence[str],
    probabilities: np.ndarray,
    threshold: float | None = None,
    problems: Problems | None = None,
    left_out: Mapping[str, str] | None = None,
) -> str:
    """The same as JSON, with what the model is; ASCII where the terminal's code page is not Unicode.

    `quality` lists what is wrong with an input's images; null = the model has no gate.
    """
    said = _decided(contract, probabilities, threshold)
    return json.dumps(
        {
            "model": {
                "task": contract.task,
                "version": contract.version,
                "data": contract.data,
                "synthetic": contract.synthetic,
                "stand_in": contract.stand_in,
                "intended_use": contract.intended_use,
                "calibration": contract.calibration.method if contract.calibration else None,
                "operating_point": asdict(point) if (point := contract.operating_point) and threshold is None else None,
                "margin_above": threshold,
            },
            "predictions": [
                {
                    "input": name,
                    "probabilities": {c: float(value) for c, value in zip(contract.classes, row, strict=True)},
                    "most_probable": contract.classes[int(row.argmax())],
                    **more,
                    "quality": None if problems is None else list(map(str, problems[at])),
                }
                for at, (name, row, more) in enumerate(zip(names, probabilities, said, strict=True))
            ],
            "left_out": [{"input": name, "reason": reason} for name, reason in (left_out or {}).items()],
        },
        indent=2,
        ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
    )


def _notes(contract: Contract, margin_above: float | None) -> list[str]:
    developed = f"developed on {contract.data} (test images included)"
    notes = [f"{contract.task} {contract.version}, {developed}. {contract.intended_use}"]
    if margin_above is None and (point := contract.operating_point):
        positive = " or ".join(contract.positive)
        notes.append(f"Positive: {positive} together at least {point.threshold:.6g} ({point.rule} on validation rows).")
    if contract.synthetic:
        notes.append("SYNTHETIC: this model was trained on drawn images; what it says about real ones means nothing.")
    elif contract.stand_in:
        notes.append("STAND-IN: this model was trained on a different data set from the paper's.")
    return notes


if __name__ == "__main__":
    main()
