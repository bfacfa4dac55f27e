"""The method section: stages in order, from a folder of visits to a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cervix_tf import cli
from cervix_tf.cli import Asked
from cervix_tf.run_dir import RunDir, read_json
from experiments.mobilenetv2_ensemble import data, rows
from experiments.mobilenetv2_ensemble.config import DESCRIPTIONS, PRESETS, TABLES, TITLE, Config

if TYPE_CHECKING:
    from cervix_tf.report.figures import Picture


def run(config: Config, out: RunDir, asked: Asked) -> None:
    """The rows that are asked for, one after the other; then tables, figures and report of all that is finished."""
    from experiments.mobilenetv2_ensemble import evaluation, explanation

    wanted = rows.wanted(config, asked.tables, asked.only)
    everything = data.read(config, out)
    folds = data.folds(everything, config)
    data.keep_manifest(everything, folds[0], out)
    for row in wanted:
        if not evaluation.place(out, row.name).metrics.exists():
            evaluation.measure(config, row, folds, out)
    ensemble = out.metrics.exists()  # what users take away
    mosaic = explanation.explain(config, out, everything) if ensemble else None
    try:
        if ensemble:
            export(out)
    finally:  # tables and report stand even where an exported file is refused
        conclude(config, out, mosaic)


def export(out: RunDir) -> None:
    """SavedModel and float TFLite of the ensemble, each compared with the Keras model on test cases."""
    from cervix_tf.export import formats

    if not (out.exports.exists() and out.saved_model.exists() and out.tflite().exists()):
        formats.run(out, ("saved_model", "tflite-float32"))


def conclude(config: Config, out: RunDir, mosaic: Picture | None) -> None:
    """Tables, figures, model card and report; prints what a reader wants to know first."""
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed
    from experiments.mobilenetv2_ensemble import evaluation, figures, tables

    measured = evaluation.measured(out)
    how = f"{config.folds}-fold cross-validation by case" if config.folds > 1 else f"protocol {config.protocol}"
    evidence = read_json(out.evidence) if out.evidence.exists() else None
    found = tables.of(measured, f"Ours: {data.described(config)}, {how}; not the paper's test set.", evidence)
    printed.write(out.tables, found)
    printed.console(found)
    figures.draw(measured, out, mosaic)
    if out.metrics.exists():
        model_card.write(out)
    report = page.run(out)
    print(f"{TITLE}\nrun {out.root}\nreport {report}")
    if out.metrics.exists():
        print(f"SavedModel {out.saved_model}\nTFLite {out.tflite()}")


def listed(config: Config, out: RunDir, asked: Asked) -> list[cli.Listed]:
    """What `--list` prints."""
    from experiments.mobilenetv2_ensemble import listing

    return listing.listed(config, out, asked)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study as the command line says."""
    cli.main("mobilenetv2_ensemble", PRESETS, DESCRIPTIONS, run, arguments, tables=TABLES, listed=listed)


if __name__ == "__main__":
    main()
