"""The method section: stages in order, from a folder of visits to an exported ensemble and a report."""

from __future__ import annotations

from functools import cache, partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.mobilenetv2_ensemble.config import PRESETS, TABLES, TITLE, Config, unfinished
from experiments.mobilenetv2_ensemble.listing import rows


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, the fine-tuned ensemble as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, data, deployment, stages
    from experiments.mobilenetv2_ensemble import figures, model, tables, training
    from experiments.mobilenetv2_ensemble.config import CLASSES, MAIN_ROW, ROWS, VIEWS
    from experiments.mobilenetv2_ensemble.data import described, folds_of, read

    folds = folds_of(read(config, out), config, out)
    data.keep_manifest(folds[0].splits, out)
    main_model = cache(lambda: training.network(config, ROWS[MAIN_ROW], folds[0]))

    def deploy() -> None:
        if out.metrics.exists():  # the main row's
            contract = deployment.terms(
                STUDY.name, CLASSES, config.images, described(config), model.INTENDED_USE, out,
                views=VIEWS, native_size=model.NATIVE_SIZE,
            )  # fmt: skip
            deployment.deploy(out, contract, main_model)

    def report() -> None:
        figures.draw(config, out)
        conclusion.write_report(TITLE, tables.of_run(config, out), out)

    remaining = unfinished(config, out, request)
    stages.run(
        {row.name: partial(training.evaluate_row, config, row, folds, main_model, out) for row in remaining},
        deploy,
        report,
    )


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from experiments.mobilenetv2_ensemble import model

    return model.needs(config, unfinished(config, out, request))


STUDY = Study("mobilenetv2_ensemble", TITLE, PRESETS, tuple(TABLES), rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
