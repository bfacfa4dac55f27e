"""The method section: stages in order, from several data sets to a matrix of who does what where."""

from __future__ import annotations

from functools import partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.cross_dataset.config import PRESETS, TABLES, TITLE, Config, Row, rows, unfinished


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, the main row's model as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, data, deployment, stages
    from experiments.cross_dataset import figures, tables, training
    from experiments.cross_dataset.data import described, of_row, read, split
    from experiments.cross_dataset.model import INTENDED_USE

    parts = split(read(config, out), config)
    main_row = Row(config.main)
    data.keep_manifest(of_row(config, main_row, parts)[config.main], out)
    shared = training.networks(config)

    def deploy() -> None:
        if out.metrics.exists():
            about = described(config, main_row, config.main)
            contract = deployment.terms(STUDY.name, main_row.task.classes, config.images, about, INTENDED_USE, out)
            deployment.deploy(out, contract, lambda: training.train(config, main_row, parts, shared, out))

    def report() -> None:
        found = tables.of_run(config, parts, out, request.tables or TABLES)
        figures.draw(found, out)
        conclusion.write_report(TITLE, found, out)

    remaining = unfinished(config, out, request)
    stages.run(
        {row.name: partial(training.evaluate_row, config, row, parts, shared, out) for row in remaining}, deploy, report
    )


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    weights = InitialWeights(config.network, config.images, config.weights)
    return {row.name: [weights] for row in unfinished(config, out, request)}


STUDY = Study("cross_dataset", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
