"""The method section: stages in order, from a folder of images to an exported classifier and what its split leaked."""

from __future__ import annotations

from cervix_tf import cli
from cervix_tf.cli import Asked
from cervix_tf.run_dir import RunDir
from experiments.resnet50_types import rows
from experiments.resnet50_types.config import DESCRIPTIONS, PRESETS, TABLES, Config


def run(config: Config, out: RunDir, asked: Asked) -> None:
    """Both protocols (or those that are asked for), the deployed network as users load it, tables and report."""
    from experiments.resnet50_types import data, deployment, evaluation, figures, results, training

    wanted = rows.wanted(asked)
    images = data.read(config, out)
    parts = {protocol: data.parts_of(images[protocol], protocol, config) for protocol in wanted}
    build = training.builder(config)
    for protocol, each in parts.items():
        evaluation.measure(config, protocol, each, build, out)
    try:
        if config.deployed in parts:
            deployment.deploy(config, parts[config.deployed], build, out)
    finally:  # tables and report stand even where an exported file is refused
        figures.draw(config, out)
        results.conclude(config, parts, out)


if __name__ == "__main__":
    cli.main("resnet50_types", PRESETS, DESCRIPTIONS, run, tables=TABLES, listed=rows.listed)
