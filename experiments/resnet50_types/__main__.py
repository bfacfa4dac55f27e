"""The method section: stages in order, from a folder of images to an exported classifier and what its split leaked."""

from __future__ import annotations

from functools import partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.resnet50_types.config import (
    CLASSES,
    PRESETS,
    PROTOCOLS,
    TABLES,
    TITLE,
    Config,
    result_dir,
    rows,
    unfinished,
    wanted,
)


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """Both protocols (or those that are asked for), the deployed network as users load it, tables and report."""
    from cervix_tf.study import conclusion, deployment, stages
    from experiments.resnet50_types import figures, tables, training
    from experiments.resnet50_types.data import described, read, split
    from experiments.resnet50_types.model import INTENDED_USE

    images, asked = read(config, out), wanted(request)
    kept = [each for each in PROTOCOLS if each in asked or result_dir(config, out, each).metrics.exists()]
    parts = {protocol: split(images[protocol], protocol, config) for protocol in kept}
    network = training.network(config)

    def deploy() -> None:
        if (main_row := config.deployed) in asked and out.metrics.exists():
            about, folder = described(config, main_row), out.row(main_row)
            contract = deployment.terms(STUDY.name, CLASSES, config.images, about, INTENDED_USE, out)
            deployment.deploy(out, contract, lambda: training.train(config, main_row, parts[main_row], network, folder))

    def report() -> None:
        figures.draw(config, out)
        conclusion.write_report(TITLE, tables.of_run(config, parts, out), out)

    remaining = unfinished(config, out, request)
    stages.run(
        {row: partial(training.evaluate_row, config, row, parts[row], network, out) for row in remaining},
        deploy,
        report,
    )


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    weights = InitialWeights(config.network, config.images, config.weights)
    return {protocol: [weights] for protocol in unfinished(config, out, request)}


STUDY = Study("resnet50_types", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
