"""The method section: stages in order, from a folder of visits to an exported ensemble and a report."""

from __future__ import annotations

import functools

from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, Study, main
from experiments.mobilenetv2_ensemble.config import PRESETS, TABLES, TITLE, Config, rows


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, one after the other, the ensemble as users load it, tables, figures and report."""
    from cervix_tf.metrics import margin
    from cervix_tf.study import conclusion, data, deployment, evaluation
    from experiments.mobilenetv2_ensemble import figures, model, tables, training
    from experiments.mobilenetv2_ensemble.config import CLASSES, MAIN_ROW, ROWS, VIEWS, result_dir, wanted
    from experiments.mobilenetv2_ensemble.data import described, folds_of, read

    folds = folds_of(read(config, out), config, out)
    data.keep_manifest(folds[0].splits, out)
    main_model = functools.cache(lambda: training.network(config, ROWS[MAIN_ROW], folds[0]))
    for row in wanted(config, request):
        result = result_dir(out, row.name)
        if result.metrics.exists():
            continue
        if row.stage == "time":
            write_json(result.metrics, evaluation.forward_pass(model.timed(row), config.timed_passes))
            continue
        tested, validated = [], None
        for fold in folds:
            if row.stage == "probe":
                tested.append(training.probe(config, row, fold))
                continue
            is_main = row.name == MAIN_ROW and fold is folds[0]
            network = main_model() if is_main else training.network(config, row, fold)
            tested.append(evaluation.predict(network, fold.inputs("test", row.images), config.images_of(row)))
            if len(folds) == 1 and "validation" in fold.splits:
                validated = evaluation.predict(network, fold.inputs("validation", row.images), config.images_of(row))
            del network
            evaluation.release()
        predicted, about = evaluation.pooled(tested), described(config)
        more = {"margin": margin.summary(predicted, positive=about.positive, seed=config.seed)}
        evaluation.write(result, predicted, validated, about, config.seed, more)
    try:
        if out.metrics.exists():  # the ensemble's
            contract = deployment.terms(
                STUDY.name, CLASSES, config.images, described(config), model.INTENDED_USE, out,
                views=VIEWS, native_size=model.NATIVE_SIZE,
            )  # fmt: skip
            deployment.deploy(out, contract, main_model)
    finally:  # tables and report stand even where an exported file is refused
        figures.draw(config, out)
        conclusion.write_report(TITLE, tables.of_run(config, out), out)


STUDY = Study("mobilenetv2_ensemble", TITLE, PRESETS, tuple(TABLES), rows, run)

if __name__ == "__main__":
    main(STUDY)
