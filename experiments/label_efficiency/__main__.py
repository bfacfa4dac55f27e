"""The method section: stages in order, from images with and without labels to accuracy by the share of labels."""

from __future__ import annotations

from functools import partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.label_efficiency.config import PRESETS, TABLES, TITLE, TRAINED, Config, rows, unfinished


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """The rows that are asked for, tables, figures and report; features are measured, so that nothing is exported."""
    from cervix_tf.data import manifest, used_manifest
    from cervix_tf.data.splits import with_split_column
    from cervix_tf.study import conclusion, stages
    from experiments.label_efficiency import figures, tables, training
    from experiments.label_efficiency.data import read, split

    parts = split(read(config, out), config)
    used_manifest.keep(manifest.joined([with_split_column(each) for each in parts.values()]), out.manifest)

    def report() -> None:
        found = tables.of_run(config, parts, out)
        figures.draw(config, found, out)
        conclusion.write_report(TITLE, found, out)

    remaining = unfinished(config, out, request)
    measured = {row.name: partial(training.evaluate_row, config, row, parts[row.data_set], out) for row in remaining}
    stages.run(measured, lambda: None, report)


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The ImageNet weights, where a row starts from them that is asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    weights = InitialWeights(config.network, config.images, config.weights)
    starting = {"imagenet", *(TRAINED if config.start == "imagenet" else ())}
    return {row.name: [weights] for row in unfinished(config, out, request) if row.initialization in starting}


STUDY = Study("label_efficiency", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
