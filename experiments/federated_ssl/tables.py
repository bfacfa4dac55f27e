"""Ours beside the paper's tables; percent throughout, though the paper prints some as fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cervix_tf.compare import comparison
from cervix_tf.data.manifest import Manifest
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import tables
from cervix_tf.report.tables import COUNTS, Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir
from cervix_tf.study import RunRequest
from cervix_tf.study.data import SPLITS
from experiments.federated_ssl import gains
from experiments.federated_ssl.config import CLASSES, PUBLISHED, Config, Row
from experiments.federated_ssl.data import described

COLUMNS = {"accuracy": "ACC", "sensitivity": "Recall", "precision": "Precision", "f1": "F1", "auc": "AUC"}

Results = Mapping[Row, Mapping[str, Mapping[str, Any]]]
"""Row -> site -> metrics.json of its classifier."""


def of_run(
    config: Config, request: RunRequest, everything: Manifest, sites: Sequence[str], results: Results, out: RunDir
) -> list[Table]:
    """Table I if it is asked for, a half of Table II for each labeled site, and the differences from random weights."""
    note = noted(config)
    made = [counts(everything, note)] if 1 in request.tables else []
    of_binary = {
        row: {site: each["binary"]["metrics"] for site, each in of_site.items()} for row, of_site in results.items()
    }
    made += [performance(config, of_binary, site, note) for site in sites]
    predicted = {
        row: {site: predictions.read(out.row(row.classifier(site)).predictions) for site in sites} for row in results
    }
    if {"imagenet", "ssl"} <= {row.kind for row in results}:
        losses = {
            row: {site: gains.validation_loss(out.row(row.classifier(site))) for site in sites} for row in results
        }
        made.append(gains.of_rows(predicted, losses, sites, note, config.seed))
    if len(results) > 1 and any(row.kind == "random" for row in results):
        made.append(differences(config, predicted, sites, note))
    return made


def write_counts(config: Config, everything: Manifest, out: RunDir) -> None:
    """Table I of a run that trains nothing."""
    made = [counts(everything, noted(config))]
    tables.write(out.tables, made)
    tables.console(made)


def noted(config: Config) -> str:
    """How our numbers were made, in a sentence."""
    other = "" if config.task == "cervigrams" and not config.synthetic_women else "; not the paper's data"
    return f"Ours: {described(config).text}, seed {config.seed}{other}."


def named(row: Row, config: Config) -> str:
    """A row as Table II calls it."""
    if row.kind == "imagenet":
        return "Drawn textures (for ImageNet)" if config.weights == "drawn" else "ImageNet"
    if row.kind in ("ssl", "cssl"):
        return f"{row.kind.upper()} (N {row.n})"
    if row.kind == "ppfssl":
        return f"PPFSSL {row.start.upper()}"
    return row.kind.capitalize() if row.kind == "random" else f"CSFSSL (E {row.e})"


def counts(everything: Manifest, note: str) -> Table:
    """Table I: women and labeled images of each part and class, and all images of a part, one column per site."""
    images, sites, lines = everything.rows, sorted(set(everything.rows["site"])), []

    def counted(name: str, chosen: pd.Series, column: str, paper: Sequence[int] | None) -> None:
        here = [images[chosen & (images["site"] == site)] for site in sites]
        ours: list[Measured] = [
            {"value": float(len(each) if column == "path" else each[column].nunique())} for each in here
        ]
        theirs = dict(zip(PUBLISHED.sites, paper, strict=True)) if paper else {}
        lines.append(line(name, "", [theirs.get(site) for site in sites], ours))

    for split in SPLITS:
        in_split = images["split"] == split
        for name in reversed(CLASSES):
            published, of_class = PUBLISHED.table_1[split][name], in_split & (images["label"] == name)
            counted(f"{split}, {name}: patients", of_class, "group", published[:2])
            counted(f"{split}, {name}: labeled images", of_class, "path", published[2:])
        counted(f"{split}: all images", in_split, "path", PUBLISHED.table_1_images.get(split))
    return table(1, "Data set splits", map(str.upper, sites), lines, note, unit=COUNTS, spread="")


def performance(config: Config, found: Mapping[Row, Mapping[str, Mapping[str, Any]]], site: str, note: str) -> Table:
    """One site's half of Table II, with the areas of Fig. 2: `found` gives each row's binary metrics at each site."""
    lines = []
    in_paper = site in PUBLISHED.sites
    at = 4 * PUBLISHED.sites.index(site) if in_paper else 0
    for row, of_site in found.items():
        published = PUBLISHED.table_2.get(row.name) if in_paper else None
        paper = [*published[at : at + 4], None] if published else [None] * len(COLUMNS)
        ours = [per_cent(of_site[site][metric]) for metric in COLUMNS]
        lines.append(line(named(row, config), row.classifier(site), paper, ours))
    note = f"{note} Per image; AUC (Fig. 2) in percent too."
    return table(f"Table 2, {site.upper()}", "Performance by initialization", COLUMNS.values(), lines, note)


def differences(
    config: Config, found: Mapping[Row, Mapping[str, Predictions]], site_names: Sequence[str], note: str
) -> Table:
    """How far the area under the ROC curve of each initialization lies above the random one's, one column per site.

    `found` gives each row's test predictions at each site. Paired: both classifiers meet the same resampled women.
    """
    random = next(row for row in found if row.kind == "random")
    lines = []
    for row, of_site in found.items():
        if row == random:
            continue
        ours = []
        for site in site_names:
            pair = {row.name: of_site[site], random.name: found[random][site]}
            compared = comparison.compare(pair, "auc", positive=("case",), seed=config.seed)
            ours.append(per_cent(compared["pairs"][0]["difference"]))
        lines.append(line(named(row, config), "", [None] * len(site_names), ours))
    title, columns = "AUC above that of random initial weights", map(str.upper, site_names)
    return table("Extra", title, columns, lines, f"{note} Paired by woman.", unit="points")
