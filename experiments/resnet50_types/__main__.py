"""The method section: stages in order, from a folder of images to an exported classifier and what its split leaked."""

from __future__ import annotations

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.resnet50_types.config import CLASSES, PRESETS, TABLES, TITLE, Config, result_dir, rows, wanted


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """Both protocols (or those that are asked for), the deployed network as users load it, tables and report."""
    from cervix_tf.data.inputs import from_images
    from cervix_tf.study import conclusion, data, deployment, evaluation, failures
    from experiments.resnet50_types import figures, tables, training
    from experiments.resnet50_types.data import described, read, split
    from experiments.resnet50_types.model import INTENDED_USE

    protocols = wanted(request)
    images = read(config, out)
    parts = {protocol: split(images[protocol], protocol, config) for protocol in protocols}
    network = training.network(config)
    with failures.collected() as attempt:
        for protocol, of_protocol in parts.items():
            result = result_dir(config, out, protocol)
            if result.metrics.exists():
                continue
            with attempt(protocol):
                data.keep_manifest(of_protocol, result)
                trained = training.train(config, protocol, of_protocol, network, out.row(protocol))
                tested = {name: from_images(part, CLASSES) for name, part in of_protocol.items() if name != "train"}
                evaluation.evaluate(trained, tested, config.images, result, described(config, protocol), config.seed)
        try:
            if (main_row := config.deployed) in parts and out.metrics.exists():
                about, folder = described(config, main_row), out.row(main_row)
                terms = deployment.terms(STUDY.name, CLASSES, config.images, about, INTENDED_USE, out)
                deployment.deploy(
                    out, terms, lambda: training.train(config, main_row, parts[main_row], network, folder)
                )
        finally:  # tables and report stand even where an exported file is refused
            figures.draw(config, out)
            conclusion.write_report(TITLE, tables.of_run(config, parts, out), out)


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The initial weights that the rows start from that are asked for and not finished."""
    from cervix_tf.study.ready import InitialWeights

    weights = InitialWeights(config.network, config.images, config.weights)
    return {row: [weights] for row in wanted(request) if not result_dir(config, out, row).metrics.exists()}


STUDY = Study("resnet50_types", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
