"""`python -m cervix_tf.predict MODEL IMAGE|FOLDER|CASE ...`: class probabilities as a table or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from cervix_tf import atomic, quiet
from cervix_tf.errors import InputError, exit_cleanly

if TYPE_CHECKING:
    import numpy as np

    from cervix_tf.contract import Contract


@dataclass(frozen=True)
class Options:
    """Class probabilities of images, or of cases whose images are a model's views.

    Research only: not a medical device.
    """

    model: tyro.conf.Positional[Path]
    """Run directory, SavedModel folder, .tflite file, or a run's model.keras beside its contract.json."""
    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Images, folders of images, or, for a model of several views, case folders: one image a view, by name in
    the order of the views."""
    json: bool = False
    """Print JSON instead of a table."""
    heatmap: Path | None = None
    """Folder for pictures of where the evidence lies (Grad-CAM++), one an input; the model must be a run directory or a
    .keras file."""
    batch_size: int = 1
    """Inputs at a time; more only helps on a GPU."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=arguments, prog="python -m cervix_tf.predict")
        if not options.inputs:
            raise InputError("nothing to predict: give images, folders or case folders after the model")
        if options.batch_size < 1:
            raise InputError("--batch-size must be at least 1")
        from cervix_tf.data import images
        from cervix_tf.export import runtime
        from cervix_tf.predict import files

        with quiet.libraries():
            model = runtime.load(options.model)
            network = runtime.keras_model(model) if options.heatmap is not None else None
        found = files.inputs_of(options.inputs, model.contract)
        if options.heatmap is not None:
            from cervix_tf.predict import pictures

            atomic.check_results(options.heatmap, [pictures.file_name(name) for name, _ in found])
        if len(found) > 1:  # all damaged images at once, and before the work
            images.check_files(file for _, each in found for file in each)
        with quiet.libraries():  # LiteRT announces its delegate at the first input
            probabilities = runtime.probabilities(model, [each for _, each in found], options.batch_size)
        names = [name for name, _ in found]
        show = as_json if options.json else as_table
        print(show(model.contract, names, probabilities))
        if network is not None and options.heatmap is not None:
            with quiet.libraries():
                drawn = pictures.draw(network, model.contract, found, options.heatmap)
            for path in drawn:
                print(path, file=sys.stderr)


def as_table(contract: Contract, names: Sequence[str], probabilities: np.ndarray) -> str:
    """One line an input: its name, the probability of each class, the most probable class."""
    widths = [max(len(name), 6) for name in contract.classes]
    first = max(len("input"), *map(len, names))
    lines = [f"{'input':<{first}}  {'  '.join(f'{c:>{w}}' for c, w in zip(contract.classes, widths, strict=True))}  "]
    lines[0] += "most probable"
    for name, row in zip(names, probabilities, strict=True):
        cells = "  ".join(f"{value:>{width}.3f}" for value, width in zip(row, widths, strict=True))
        lines.append(f"{name:<{first}}  {cells}  {contract.classes[int(row.argmax())]}")
    return "\n".join([*lines, *_notes(contract)])


def as_json(contract: Contract, names: Sequence[str], probabilities: np.ndarray) -> str:
    """The same as JSON, with what the model is; ASCII where the terminal's code page is not Unicode."""
    return json.dumps(
        {
            "model": {
                "task": contract.task,
                "version": contract.version,
                "data": contract.data,
                "synthetic": contract.synthetic,
                "stand_in": contract.stand_in,
                "intended_use": contract.intended_use,
            },
            "predictions": [
                {
                    "input": name,
                    "probabilities": {c: float(value) for c, value in zip(contract.classes, row, strict=True)},
                    "most_probable": contract.classes[int(row.argmax())],
                }
                for name, row in zip(names, probabilities, strict=True)
            ],
        },
        indent=2,
        ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
    )


def _notes(contract: Contract) -> list[str]:
    notes = [f"{contract.task} {contract.version}, trained on {contract.data}. {contract.intended_use}"]
    if contract.synthetic:
        notes.append("SYNTHETIC: this model has learned from drawn images; what it says of real ones means nothing.")
    elif contract.stand_in:
        notes.append("STAND-IN: this model has learned from another data set than the paper's.")
    return notes


if __name__ == "__main__":
    main()
