"""The method section: stages in order, from a folder of visits to an exported ensemble and a report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.mobilenetv2_ensemble.config import PRESETS, TABLES, TITLE, Config, Row, result_dir, wanted
from experiments.mobilenetv2_ensemble.listing import rows

if TYPE_CHECKING:
    import keras

    from experiments.mobilenetv2_ensemble.data import Fold


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, the fine-tuned ensemble as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, data, deployment, failures
    from experiments.mobilenetv2_ensemble import figures, model, tables, training
    from experiments.mobilenetv2_ensemble.config import CLASSES, MAIN_ROW, ROWS, VIEWS
    from experiments.mobilenetv2_ensemble.data import described, folds_of, read

    folds = folds_of(read(config, out), config, out)
    data.keep_manifest(folds[0].splits, out)
    main_model = functools.cache(lambda: training.network(config, ROWS[MAIN_ROW], folds[0]))
    with failures.collected() as attempt:
        for row in unfinished(config, out, request):
            with attempt(row.name):
                evaluate_row(config, row, folds, main_model, out)
        try:
            if out.metrics.exists():  # the main row's
                contract = deployment.terms(
                    STUDY.name, CLASSES, config.images, described(config), model.INTENDED_USE, out,
                    views=VIEWS, native_size=model.NATIVE_SIZE,
                )  # fmt: skip
                deployment.deploy(out, contract, main_model)
        finally:  # tables and report stand even where an exported file is refused
            figures.draw(config, out)
            conclusion.write_report(TITLE, tables.of_run(config, out), out)


def evaluate_row(
    config: Config, row: Row, folds: Sequence[Fold], main_model: Callable[[], keras.Model], out: RunDir
) -> None:
    """Train the row's networks as far as that is not done; write predictions and metrics, pooled over the folds."""
    from cervix_tf.metrics import margin
    from cervix_tf.study import evaluation
    from experiments.mobilenetv2_ensemble import model, training
    from experiments.mobilenetv2_ensemble.config import MAIN_ROW
    from experiments.mobilenetv2_ensemble.data import described

    result = result_dir(out, row.name)
    if row.stage == "time":
        return write_json(result.metrics, evaluation.forward_pass(model.timed(row), config.timed_passes))
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


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Row]:
    """The rows that are asked for and not finished."""
    return [row for row in wanted(config, request) if not result_dir(out, row.name).metrics.exists()]


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that those rows start from."""
    from experiments.mobilenetv2_ensemble import model

    return model.needs(config, unfinished(config, out, request))


STUDY = Study("mobilenetv2_ensemble", TITLE, PRESETS, tuple(TABLES), rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
