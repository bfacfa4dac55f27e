"""The method section: stages in order, from images of several sites to classifiers of each site and a report."""

from __future__ import annotations

from functools import cache, partial

from cervix_tf.run_dir import RunDir
from cervix_tf.study import Needs, RunRequest, Study, main
from experiments.federated_ssl.config import (
    CLASSES,
    PRESETS,
    TABLES,
    TITLE,
    Config,
    Row,
    rows,
    unfinished,
    wanted,
)


def run(config: Config, out: RunDir, request: RunRequest) -> None:
    """Tables I and II and Fig. 2: pre-train as each row says, fine-tune a classifier a site, measure it."""
    from cervix_tf.study import conclusion, deployment, stages
    from experiments.federated_ssl import figures, gains, tables, training
    from experiments.federated_ssl.data import check_sites, described, read, sites_of
    from experiments.federated_ssl.model import INTENDED_USE

    everything = read(config, out)
    sites = sites_of(everything)
    labeled = [name for name, site in sites.items() if site.labeled]
    chosen = wanted(config, labeled, request)
    results = cache(partial(training.finished, config, labeled, out))  # asked for once the rows are
    if not chosen and not results():  # Table I alone
        return tables.write_counts(config, everything, out)
    check_sites(config, sites, chosen)
    networks = cache(lambda: training.Networks(config, sites[labeled[0]].images["train"]))

    def evaluate(row: Row) -> None:
        for site in labeled:
            training.evaluate_row(networks, row, sites, site, config, out)

    def deploy() -> None:
        if results():
            site = labeled[0]
            best = min(results(), key=lambda row: gains.validation_loss(out.row(row.classifier(site))))
            trained = out.row(best.classifier(site))
            training.copy_results(trained, out)
            about = described(config, best, f"classifier of site {site}")
            contract = deployment.terms(STUDY.name, CLASSES, config.images, about, INTENDED_USE, out, site=site)
            deployment.deploy(out, contract, lambda: networks().trained_classifier(trained), site=site)

    def report() -> None:
        if results():
            figures.draw(config, results(), out)
            conclusion.write_report(TITLE, tables.of_run(config, request, everything, labeled, results(), out), out)

    stages.run({row.name: partial(evaluate, row) for row in chosen}, deploy, report)


def needs(config: Config, out: RunDir, request: RunRequest) -> Needs:
    """The ImageNet weights, where a row starts from them that is asked for and not finished at every site."""
    from cervix_tf.study.ready import InitialWeights

    if config.weights == "drawn":
        return {}
    rows = [name for name in unfinished(config, out, request) if name != "random"]
    weights = InitialWeights(config.network, config.images, config.weights)
    return {name: [weights] for name in rows if name == "imagenet" or config.start != "random"}


STUDY = Study("federated_ssl", TITLE, PRESETS, TABLES, rows, run, needs)

if __name__ == "__main__":
    main(STUDY)
