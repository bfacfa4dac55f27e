"""The method section: stages in order, from images of single cells to an exported classifier and a report."""

from __future__ import annotations

from cervix_tf import cli
from cervix_tf.cli import Asked
from cervix_tf.run_dir import RunDir
from experiments.cvm_cervix import rows
from experiments.cvm_cervix.config import DESCRIPTIONS, PRESETS, TABLES, Config


def run(config: Config, out: RunDir, asked: Asked) -> None:
    """The rows that are asked for, the main row's model as users load it, tables, figures and report."""
    from experiments.cvm_cervix import data, deployment, evaluation, figures, results

    wanted = rows.wanted(config, asked)
    results.check_beside(config)
    folds = data.folds_of(data.read(config, out), config)
    data.keep_manifest(folds, out)
    for row in wanted:
        evaluation.measure(config, row, folds, out)
    chief = rows.main(config)
    try:
        if chief in wanted:
            deployment.deploy(config, chief, folds, out)
    finally:  # tables and report stand even where an exported file is refused
        figures.draw(config, out)
        results.conclude(config, asked, folds, out)


if __name__ == "__main__":
    cli.main("cvm_cervix", PRESETS, DESCRIPTIONS, run, tables=TABLES, listed=rows.listed)
