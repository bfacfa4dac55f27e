"""The method section: stages in order, from a folder of images to an exported classifier and a report."""

from __future__ import annotations

from functools import partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments._template.config import CLASSES, PRESETS, TABLES, TITLE, Config, rows, unfinished


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, the main row's model as users load it, tables, figures and report."""
    from cervix_tf.data.inputs import from_images
    from cervix_tf.study import conclusion, data, deployment, stages
    from experiments._template import figures, tables, training
    from experiments._template.data import described, read, split
    from experiments._template.model import INTENDED_USE

    parts = split(read(config, out), config)
    data.keep_manifest(parts, out)
    inputs = {name: from_images(part, CLASSES) for name, part in parts.items()}

    def deploy() -> None:
        if out.metrics.exists():
            contract = deployment.terms(STUDY.name, CLASSES, config.images, described(config), INTENDED_USE, out)
            main_row = out.row(config.main)
            deployment.deploy(out, contract, lambda: training.train(config, config.main, inputs, main_row))

    def report() -> None:
        figures.draw(config, out)
        conclusion.write_report(TITLE, tables.of_run(config, out), out)

    remaining = unfinished(config, out, request)
    stages.run({row: partial(training.evaluate_row, config, row, inputs, out) for row in remaining}, deploy, report)


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    rows = unfinished(config, out, request)
    return {row: [InitialWeights(row, config.images, config.weights)] for row in rows if row != "small"}


STUDY = Study("_template", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
