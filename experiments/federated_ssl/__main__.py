"""The method section: stages in order, from images of several sites to classifiers of each site and a report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cervix_tf import cli
from cervix_tf.cli import Asked
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.federated_ssl import rows
from experiments.federated_ssl.config import CLASSES, DESCRIPTIONS, PARTS, PRESETS, TABLES, TITLE, Config
from experiments.federated_ssl.rows import Row

if TYPE_CHECKING:  # TensorFlow and pandas stay out of --help
    from cervix_tf.data.manifest import Manifest
    from experiments.federated_ssl.training import Networks, Site

Found = dict[Row, dict[str, dict[str, Any]]]
"""Row -> site -> metrics.json of its classifier."""


def run(config: Config, out: RunDir, asked: Asked) -> None:
    """Tables I and II and Fig. 2: pre-train as each row says, fine-tune a classifier a site, measure it."""
    from experiments.federated_ssl import data, training

    everything = data.read(config, out)
    sites = sites_of(everything)
    labelled = [name for name, site in sites.items() if site.labelled]
    chosen = rows.wanted(config, labelled, asked)
    networks = functools.cache(lambda: training.Networks(config, sites[labelled[0]].images["train"]))
    found: Found = {}
    if chosen:
        for row in chosen:
            found[row] = {name: measured(config, networks, row, sites, name, labelled, out) for name in labelled}
        best = min(found, key=lambda row: validation_loss(out.row(row.classifier(labelled[0]))))
        keep(out.row(best.classifier(labelled[0])), out)
    try:
        if chosen:
            deploy(config, networks, best, labelled[0], everything, out)
    finally:  # tables and report stand even where an exported file is refused
        conclude(config, asked, everything, labelled, found, out)


def sites_of(everything: Manifest) -> dict[str, Site]:
    """The network inputs of every site and part."""
    from cervix_tf.data import inputs
    from experiments.federated_ssl import training

    found = {}
    for name in sorted(set(everything.rows["site"])):
        here = everything.where(everything.rows["site"] == name)
        labelled = (here.rows["label"] != "").any()
        images = {part: inputs.of_every_image(here.part(part)) for part in PARTS if len(here.part(part))}
        known = {part: inputs.of_images(here.part(part), CLASSES) for part in PARTS} if labelled else {}
        found[name] = training.Site(images, known)
    return found


def measured(
    config: Config,
    lent: Callable[[], Networks],
    row: Row,
    sites: Mapping[str, Site],
    name: str,
    order: Sequence[str],
    out: RunDir,
) -> dict[str, Any]:
    """The metrics of a site's classifier that starts as the row says, trained first where that is not done yet."""
    from cervix_tf.data import pipeline
    from cervix_tf.evaluate import metrics, predictions
    from cervix_tf.train import fit
    from experiments.federated_ssl import data, training

    where, site = out.row(row.classifier(name)), sites[name]
    if where.metrics.exists():
        return read_json(where.metrics)
    networks = lent()
    around = [*order, *(other for other in sites if other not in order)]
    weights = training.pretrained(networks, row, sites, name, around, out)
    training.fine_tune(networks, weights, site, name, where)
    for part, path in (("validation", where.validation_predictions), ("test", where.predictions)):
        said = fit.probabilities(networks.exported, pipeline.evaluation(site.labelled[part], config.images))
        predictions.write(predictions.of_rows(site.labelled[part].rows, said, CLASSES), path)
    found = metrics.summary(
        predictions.read(where.predictions),
        positive=("case",),
        validation=predictions.read(where.validation_predictions),
        seed=config.seed,
        data=f"{data.described(config)}; {row.name}, site {name}",
        synthetic=bool(config.synthetic_women),
        stand_in=data.stand_in(config),
    )
    write_json(where.metrics, found)
    area = found["binary"]["metrics"]["auc"]
    print(f"{row.name} {name}: AUC {area['value']:.3f} [{area['low'] or 0:.3f}, {area['high'] or 1:.3f}]", flush=True)
    return found


def validation_loss(out: RunDir) -> float:
    """The lowest one of a classifier's training."""
    import pandas as pd

    return float(pd.read_csv(out.history)["val_loss"].min())


def keep(best: RunDir, out: RunDir) -> None:
    """Make the best row's predictions and metrics those of the run."""
    from cervix_tf.evaluate import predictions

    predictions.write(predictions.read(best.predictions), out.predictions)
    predictions.write(predictions.read(best.validation_predictions), out.validation_predictions)
    write_json(out.metrics, read_json(best.metrics))


def deploy(
    config: Config, lent: Callable[[], Networks], row: Row, site: str, everything: Manifest, out: RunDir
) -> None:
    """The row's classifier of the site as users load it: SavedModel and TFLite.

    Nothing is done where the same model stands there already.
    """
    import cervix_tf
    from cervix_tf import atomic
    from cervix_tf.export import contract, formats, serving
    from experiments.federated_ssl import data

    sizes = everything.rows[everything.rows["site"] == site][["height", "width"]].median()
    terms = contract.Contract(
        task="federated_ssl",
        classes=CLASSES,
        positive=("case",),
        views=(),
        height=config.images.height,
        width=config.images.width,
        native_height=int(sizes["height"]),
        native_width=int(sizes["width"]),
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); weights carry the terms of the images they were made from",
        intended_use="Research on cervical image classification. Not a medical device.",
        data=f"{data.described(config)}; {row.name}, classifier of site {site}",
        synthetic=bool(config.synthetic_women),
        stand_in=data.stand_in(config),
    )
    written = (out.model, out.exports, out.saved_model, out.tflite())
    if all(path.exists() for path in (out.contract, *written)) and contract.read(out.contract) == terms:
        return
    out.contract.unlink(missing_ok=True)  # written last: without it the rest is another model's, or half of one
    networks = lent()
    networks.classifier.load_weights(out.row(row.classifier(site)).best_weights)
    with atomic.replacing(out.model) as part:
        serving.serving_model(networks.exported, terms).save(part)
    terms.write(out.contract)
    out.exports.unlink(missing_ok=True)
    formats.run(out, ("saved_model", "tflite-float32"))


def conclude(
    config: Config, asked: Asked, everything: Manifest, sites: Sequence[str], found: Found, out: RunDir
) -> None:
    """Tables, figures, model card and report; prints what a reader wants to know first."""
    from cervix_tf.evaluate import predictions
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed
    from experiments.federated_ssl import data, figures, tables

    other = "" if config.task == "cervigrams" and not config.synthetic_women else "; not the paper's data"
    note = f"Ours: {data.described(config)}, seed {config.seed}{other}."
    every_site = sorted(set(everything.rows["site"]))
    made = [tables.counts(everything, every_site, note)] if 1 in asked.tables else []
    if found:
        of_binary = {
            row: {site: each["binary"]["metrics"] for site, each in of_site.items()} for row, of_site in found.items()
        }
        made += [tables.performance(config, of_binary, site, note) for site in sites]
        if len(found) > 1 and any(row.kind == "random" for row in found):
            said = {
                row: {site: predictions.read(out.row(row.classifier(site)).predictions) for site in of_site}
                for row, of_site in found.items()
            }
            made.append(tables.differences(config, said, sites, note))
        figures.draw(config, found, out)
    printed.write(out.tables, made)
    printed.console(made)
    if not found:
        return
    model_card.write(out)
    report = page.run(out)
    print(f"{TITLE}\nrun {out.root}\nreport {report}\nSavedModel {out.saved_model}\nTFLite {out.tflite()}")


if __name__ == "__main__":
    cli.main("federated_ssl", PRESETS, DESCRIPTIONS, run, tables=TABLES, listed=rows.listed)
