"""The method section: stages in order, from images of single cells to an exported classifier and a report."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from cervix_tf import durable, run_lock, start
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from cervix_tf.study.rows import trainings
from experiments.cvm_cervix import config as study

if TYPE_CHECKING:
    from cervix_tf.study.data import Splits


def run(config: study.Config, out: RunDir, request: RunRequest) -> None:
    """Every data set that is asked for, each a run; nothing is trained before the images of all are there.

    Raises `InputError` at the end with what was wrong with those that failed, see `failures.collected`.
    """
    from cervix_tf.study import failures
    from experiments.cvm_cervix import data, leak

    with contextlib.ExitStack() as locks:
        begun = {}
        for task, (each, wanted) in study.tasks(config, request).items():
            own = study.run_of(config, task, out)
            if own != out:
                durable.make_folder(own.root)
                locks.enter_context(run_lock.held(own.root))
                start.begin_beside(out, each, own, config.seed)
            leak.check(each, own)
            begun[task] = partial(run_task, each, own, wanted, data.folds(each, own))
        failures.each("task", begun)


def run_task(config: study.Config, out: RunDir, request: RunRequest, folds: list[Splits]) -> None:
    """The rows that are asked for, the main row's model as users load it, tables, figures and report."""
    from cervix_tf.study import conclusion, deployment, stages
    from experiments.cvm_cervix import data, figures, model, tables, training

    rows, main_row = study.selected_rows(config, request), study.main_row(config)

    def deploy() -> None:
        if main_row in rows and out.metrics.exists() and not config.masks:  # users have pictures, not masks
            described, classes = data.described(config), config.data_source.classes
            contract = deployment.terms(STUDY.name, classes, config.images, described, model.INTENDED_USE, out)
            first = out.row(trainings(main_row.name, config.folds)[0])
            deployment.deploy(out, contract, lambda: training.train(config, main_row, folds[0], first), model.EXPORTS)

    def report() -> None:
        figures.draw(config, out)
        conclusion.write_report(study.TITLE, tables.of_run(config, request, folds, out), out)

    remaining = study.unfinished(config, out, request)
    stages.run({row.name: partial(training.evaluate_row, config, row, folds, out) for row in remaining}, deploy, report)


def needs(config: study.Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished, of every data set."""
    from experiments.cvm_cervix import model

    found: dict[str, Any] = {}
    for task, (each, wanted) in study.tasks(config, request).items():
        rows = study.unfinished(each, study.run_of(config, task, out), wanted)
        found |= model.needs(each, [each.main if row == study.PROBE else row.network for row in rows])
    return found


def fills(config: study.Config, out: RunDir, request: RunRequest) -> list[RunDir]:
    """The run of every data set that is asked for."""
    return [study.run_of(config, task, out) for task in study.tasks(config, request)]


STUDY = Study("cvm_cervix", study.TITLE, study.PRESETS, study.TABLES, study.rows, run, needs, fills)

if __name__ == "__main__":
    main(STUDY)
