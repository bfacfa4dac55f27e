"""The method section: stages in order, from images of single cells to an exported classifier and a report."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from cervix_tf import durable, run_lock, start
from cervix_tf.run_dir import RunDir, read_object, write_json
from cervix_tf.study import Needs, RunRequest, Study, main
from cervix_tf.study.rows import trainings
from experiments.cvm_cervix import config as study

if TYPE_CHECKING:
    from cervix_tf.study.data import Splits


def run(config: study.Config, out: RunDir, request: RunRequest) -> None:
    """Every data set that is asked for, each a run; nothing is trained before the images of all are there."""
    with contextlib.ExitStack() as locks:
        begun = []
        for task, (each, wanted) in study.tasks(config, request).items():
            own = study.run_of(config, task, out)
            if own != out:
                durable.make_folder(own.root)
                locks.enter_context(run_lock.held(own.root))
                begin_as(out, each, own)
            begun.append((each, own, wanted, prepare(each, own)))
        for each, own, wanted, folds in begun:
            run_task(each, own, wanted, folds)


def begin_as(first: RunDir, config: study.Config, out: RunDir) -> None:
    """Begin the run of another data set as the command began the `first`: its command line, images shown or not."""
    began = read_object(first.environment)
    shown = bool(began["report_images"])
    start.begin(config, out, shlex.split(str(began["command_line"])), config.seed, report_images=shown)


def prepare(config: study.Config, out: RunDir) -> list[Splits]:
    """The splits of each fold; images, masks and the reference run of a task are known to be there after this."""
    from cervix_tf.study.data import keep_manifest
    from experiments.cvm_cervix import data, leak

    leak.check(config)
    folds = data.split(data.read(config, out), config)
    data.inputs_of(keep_manifest(folds[0], out), config)  # every picture's mask, if these are asked for
    return folds


def run_task(config: study.Config, out: RunDir, request: RunRequest, folds: list[Splits]) -> None:
    """The rows that are asked for, the main row's model as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, deployment, failures
    from experiments.cvm_cervix import data, figures, model, tables, training

    rows, main_row = study.selected_rows(config, request), study.main_row(config)
    with failures.collected() as attempt:
        for row in unfinished(config, out, request):
            with attempt(row.name):
                evaluate_row(config, row, folds, out)
        try:
            if main_row in rows and out.metrics.exists() and not config.masks:  # users have pictures, not masks
                described, classes = data.described(config), config.data_source.classes
                contract = deployment.terms(STUDY.name, classes, config.images, described, model.INTENDED_USE, out)
                first = out.row(trainings(main_row.name, config.folds)[0])
                deployment.deploy(
                    out, contract, lambda: training.train(config, main_row, folds[0], first), model.EXPORTS
                )
        finally:  # tables and report stand even where an exported file is refused
            figures.draw(config, out)
            conclusion.write_report(study.TITLE, tables.of_run(config, request, folds, out), out)


def unfinished(config: study.Config, out: RunDir, request: RunRequest) -> list[study.Row]:
    """The rows that are asked for and not finished."""
    rows = study.selected_rows(config, request)
    return [row for row in rows if not study.result_dir(config, out, row).metrics.exists()]


def needs(config: study.Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that those rows start from, of every data set that is asked for."""
    from experiments.cvm_cervix import model

    found: dict[str, Any] = {}
    for task, (each, wanted) in study.tasks(config, request).items():
        rows = unfinished(each, study.run_of(config, task, out), wanted)
        found |= model.needs(each, [each.main if row == study.PROBE else row.network for row in rows])
    return found


def evaluate_row(config: study.Config, row: study.Row, folds: list[Splits], out: RunDir) -> None:
    """Train the row's networks as far as that is not done; write predictions and metrics, pooled over the folds."""
    from cervix_tf.metrics import embeddings
    from cervix_tf.study import evaluation
    from experiments.cvm_cervix import data, model, training

    result, described = study.result_dir(config, out, row), data.described(config)
    if row == study.PROBE:
        evaluation.write(result, evaluation.pooled(training.probe(config, folds)), None, described, config.seed)
        return
    predicted, validation = defaultdict(list), None
    for splits, name in zip(folds, trainings(row.name, config.folds), strict=True):
        network = training.train(config, row, splits, out.row(name))
        test = data.inputs_of(splits["test"], config)
        predicted["test"].append(evaluation.predict(network, test, config.images))
        if len(folds) == 1:
            validation = evaluation.predict(network, data.inputs_of(splits["validation"], config), config.images)
        if row == study.main_row(config):
            if splits is folds[0]:
                features = evaluation.embed(model.features(network), {"test": test}, config.images)
                embeddings.write(features, out.embeddings)
                cost = evaluation.forward_pass(network, config.timed_passes)
                started = time.perf_counter()
                evaluation.predict(network, test, config.images)  # once more: the first time also traces the network
                tested = {"seconds": time.perf_counter() - started, "images": len(test)}
                write_json(out.cost, {**cost, "tested": tested, "mebibytes": model.mebibytes(network)})
            if config.test_time_augmentation:
                predicted[study.FLIPS].append(evaluation.predict_mirrored(network, test, config.images))
            model.round_to_16_bits(network)
            predicted[study.SIXTEEN_BITS].append(evaluation.predict(network, test, config.images))
        del network
        evaluation.release()
    test_predictions = evaluation.pooled(predicted.pop("test"))
    for suffix, of_folds in predicted.items():
        evaluation.write(out.row(row.name + suffix), evaluation.pooled(of_folds), None, described, config.seed)
    evaluation.write(result, test_predictions, validation, described, config.seed)  # last: now the row is finished


STUDY = Study("cvm_cervix", study.TITLE, study.PRESETS, study.TABLES, study.rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
