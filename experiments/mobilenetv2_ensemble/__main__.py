"""The method section: stages in order, from a folder of visits to an exported ensemble and a report."""

from __future__ import annotations

from functools import cache, partial

from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.mobilenetv2_ensemble.config import PRESETS, TABLES, TITLE, Config, unfinished
from experiments.mobilenetv2_ensemble.listing import rows


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, the fine-tuned ensemble as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, data, deployment, failures, stages
    from experiments.mobilenetv2_ensemble import figures, model, tables, training
    from experiments.mobilenetv2_ensemble.config import ANY_VIEWS_ROW, CLASSES, MAIN_ROW, ROWS, VIEWS
    from experiments.mobilenetv2_ensemble.data import described, folds_of, read

    folds = folds_of(read(config, out), config, out)
    data.keep_manifest(folds[0].splits, out)
    main_model = cache(lambda: training.network(config, ROWS[MAIN_ROW], folds[0]))

    def deploy() -> None:
        with failures.collected() as attempt:
            for name, result in ((MAIN_ROW, out), (ANY_VIEWS_ROW, out.row(ANY_VIEWS_ROW))):
                if result.metrics.exists():
                    with attempt(name):
                        deploy_row(name, result)

    def deploy_row(name: str, result: RunDir) -> None:
        any_views = name == ANY_VIEWS_ROW
        if any_views:  # a run of its own: other cases are tested
            data.keep_manifest(folds[0].with_any_views(), result)
            write_json(result.environment, read_json(out.environment))
        contract = deployment.terms(
            STUDY.name, CLASSES, config.images, described(config), model.INTENDED_USE, result,
            views=VIEWS, native_size=model.NATIVE_SIZE, missing_views=any_views,
        )  # fmt: skip
        network = partial(training.network, config, ROWS[name], folds[0]) if any_views else main_model
        deployment.deploy(result, contract, network)

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
