"""The method section: stages in order, from images of several sites to classifiers of each site and a report."""

from __future__ import annotations

import functools

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.federated_ssl.config import (
    CLASSES,
    PRESETS,
    TABLES,
    TITLE,
    Config,
    every,
    expected_sites,
    rows,
    wanted,
)


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """Tables I and II and Fig. 2: pre-train as each row says, fine-tune a classifier a site, measure it."""
    from cervix_tf.study import conclusion, deployment, failures
    from experiments.federated_ssl import figures, gains, tables, training
    from experiments.federated_ssl.data import described, read, sites_of
    from experiments.federated_ssl.model import INTENDED_USE

    everything = read(config, out)
    sites = sites_of(everything)
    labeled = [name for name, site in sites.items() if site.labeled]
    chosen = wanted(config, labeled, request)
    if not chosen:  # Table I alone
        return tables.write_counts(config, everything, out)
    if len(sites) < 2 and (together := [row.name for row in chosen if row.shared]):
        raise InputError(
            f"{config.data.manifest or config.data.root}: has images of one site, {next(iter(sites))}, and "
            f"{', '.join(together)} needs two; fill the column site, or choose rows with --only"
        )
    networks = functools.cache(lambda: training.Networks(config, sites[labeled[0]].images["train"]))
    results = {}
    with failures.collected() as attempt:
        for row in chosen:
            with attempt(row.name):
                results[row] = {
                    site: training.evaluate_row(networks, row, sites, site, config, out) for site in labeled
                }
        if not results:
            return None
        site = labeled[0]
        best = min(results, key=lambda row: gains.validation_loss(out.row(row.classifier(site))))
        training.copy_results(out.row(best.classifier(site)), out)
        try:
            about = described(config, best, f"classifier of site {site}")
            contract = deployment.terms(STUDY.name, CLASSES, config.images, about, INTENDED_USE, out, site=site)
            trained = out.row(best.classifier(site))
            deployment.deploy(out, contract, lambda: networks().trained_classifier(trained))
        finally:  # tables and report stand even where an exported file is refused
            figures.draw(config, results, out)
            conclusion.write_report(TITLE, tables.of_run(config, request, everything, labeled, results, out), out)


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The ImageNet weights, where a row starts from them that is asked for and not finished at every site.

    Names are not looked at closely: before the images are read, which sites have rows is not known.
    """
    from cervix_tf.study.ready import InitialWeights

    sites = expected_sites(config, out)
    names = request.only or [row.name for row in wanted(config, sites, request)]
    finished = {
        row.name
        for row in every(config, sites)
        if all(out.row(row.classifier(site)).metrics.exists() for site in sites)
    }
    starting = {"imagenet"} if config.start == "random" else set(names) - {"random"}
    weights = InitialWeights(config.network, config.images, config.weights)
    lacking = [name for name in names if name in starting and name not in finished]
    return {name: [weights] for name in lacking if config.weights != "drawn"}


STUDY = Study("federated_ssl", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
