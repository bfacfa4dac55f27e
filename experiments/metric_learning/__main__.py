"""The method section: stages in order, from images of women to a classifier of their embeddings and a report."""

from __future__ import annotations

from functools import cache, partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.metric_learning.config import PRESETS, TABLES, TASKS, TITLE, Config, rows, wanted


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """Tables 1 to 8: embeddings of every row, neighbors chosen on val2, predictions of the hold-out split."""
    from cervix_tf.metrics import neighbors
    from cervix_tf.study import conclusion, deployment, stages
    from experiments.metric_learning import figures, second_reader, tables, training
    from experiments.metric_learning.data import described, inputs_of, read, split
    from experiments.metric_learning.model import INTENDED_USE

    parts = split(read(config, out), config)
    inputs = inputs_of(config, parts, out)
    results = cache(partial(training.finished, config, out))  # asked for once the rows are
    if not (chosen := wanted(config, request)) and not results():  # Table 1 alone
        return tables.write_counts(config, parts, out)
    training.check_batches(config, chosen, inputs)
    if config.second_reader is not None:
        of_women = TASKS[config.task].women
        ids = parts["test"].rows["group" if of_women else "path"]
        second_reader.decisions(config.second_reader, tuple(TASKS[config.task].label_map), list(ids))
    initial = training.initial_networks(config, inputs["train"])

    def deploy() -> None:
        if found := results():
            best = training.best(found)
            embedded, k = found[best].embeddings, found[best].retrieval["k"]
            training.classify(config, embedded, k, out)
            train = embedded.part("train")
            fitted = neighbors.fit(train.values, train.labels, embedded.classes, k)
            contract = deployment.terms(
                STUDY.name, embedded.classes, config.images, described(config), INTENDED_USE, out, neighbors=fitted
            )
            network = partial(training.train, config, best, inputs, initial, out)
            deployment.deploy(out, contract, network, neighbors=fitted)

    def report() -> None:
        if found := results():
            best = training.best(found)
            figures.draw({row: result.embeddings for row, result in found.items()}, out, config.seed)
            made = tables.of_run(config, request.tables or (7,), parts, found, best, out)
            words = f"best on val2: {best.name}, K = {found[best].retrieval['k']}"
            conclusion.write_report(TITLE, made, out, words)

    stages.run(
        {row.name: partial(training.evaluate_row, config, row, inputs, initial, out) for row in chosen}, deploy, report
    )


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    rows = [row for row in wanted(config, request) if not out.row(row.name).embeddings.exists()]
    return {row.name: [InitialWeights(row.network, config.images, config.weights)] for row in rows}


STUDY = Study("metric_learning", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
