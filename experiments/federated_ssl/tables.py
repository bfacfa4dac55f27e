"""The paper's tables as data, and ours beside them; per cent throughout, though the paper prints some as fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cervix_tf.compare import comparison
from cervix_tf.data.manifest import Manifest
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import tables
from cervix_tf.report.tables import COUNTS, Measured, Table, per_cent
from cervix_tf.report.tables import Row as Line
from cervix_tf.run_dir import RunDir
from cervix_tf.study import RunRequest
from experiments.federated_ssl import gains
from experiments.federated_ssl.config import CLASSES, PAPER_SITES, SPLITS, Config, Row
from experiments.federated_ssl.data import described

COLUMNS = {"accuracy": "ACC", "sensitivity": "Recall", "precision": "Precision", "f1": "F1", "auc": "AUC"}

# (part, class) -> patients of NHS and ALTS, labeled images of NHS and ALTS; part -> all images of NHS and ALTS.
TABLE_1 = {
    ("train", "case"): (91, 124, 182, 248),
    ("train", "control"): (181, 242, 361, 481),
    ("validation", "case"): (22, 31, 44, 62),
    ("validation", "control"): (45, 60, 90, 120),
    ("test", "case"): (25, 34, 49, 68),
    ("test", "control"): (50, 65, 99, 130),
}
TABLE_1_IMAGES = {"train": (2029, 3145), "validation": (520, 791)}
# Row -> accuracy, recall, precision and F1 of NHS, then of ALTS.
TABLE_2 = {
    "random": (79.73, 53.06, 78.79, 63.41, 76.77, 57.35, 69.64, 62.90),
    "imagenet": (80.41, 48.98, 85.71, 62.34, 77.78, 55.88, 73.08, 63.33),
    "ssl-8": (83.11, 63.27, 81.58, 71.26, 79.80, 72.06, 70.00, 71.01),
    "ssl-16": (83.11, 69.39, 77.27, 73.12, 80.30, 60.29, 77.36, 67.77),
    "ssl-32": (83.11, 65.31, 80.00, 71.91, 79.29, 61.76, 73.68, 67.20),
    "cssl-8": (86.49, 71.43, 85.37, 77.78, 81.82, 77.94, 71.62, 74.65),
    "cssl-16": (85.81, 75.51, 80.43, 77.89, 81.31, 63.24, 78.18, 69.92),
    "cssl-32": (85.14, 79.59, 76.47, 78.00, 81.31, 64.71, 77.19, 70.40),
    "csfssl": (84.46, 67.35, 82.50, 74.16, 79.80, 69.12, 71.21, 70.15),
    "ppfssl-nhs": (84.46, 73.47, 78.26, 75.79, 80.81, 66.18, 75.00, 70.31),
    "ppfssl-alts": (84.46, 77.55, 76.00, 76.77, 80.30, 66.18, 73.77, 69.77),
}
TESTED = {"nhs": (49, 99), "alts": (68, 130)}
"""Cases and controls that Table II was measured on."""

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
        made.append(gains.table(predicted, losses, sites, TABLE_2, note, config.seed))
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
    """Table I: women and labeled images of each part and class, and all images of a part, a column a site."""
    rows, sites = everything.rows, sorted(set(everything.rows["site"]))
    lines: list[Line] = []

    def line(name: str, chosen: Any, column: str, paper: Mapping[str, int] | None) -> None:
        ours: list[Measured | None] = []
        for site in sites:
            here = rows[chosen & (rows["site"] == site)]
            ours.append({"value": float(len(here) if column == "path" else here[column].nunique())})
        lines.append({"name": name, "row": "", "paper": [paper.get(s) if paper else None for s in sites], "ours": ours})

    for part in SPLITS:
        in_part = rows["split"] == part
        for name in reversed(CLASSES):
            women, images = TABLE_1[part, name][:2], TABLE_1[part, name][2:]
            of_class = in_part & (rows["label"] == name)
            line(f"{part}, {name}: patients", of_class, "group", dict(zip(PAPER_SITES, women, strict=True)))
            line(f"{part}, {name}: labeled images", of_class, "path", dict(zip(PAPER_SITES, images, strict=True)))
        published = TABLE_1_IMAGES.get(part)
        line(
            f"{part}: all images",
            in_part,
            "path",
            dict(zip(PAPER_SITES, published, strict=True)) if published else None,
        )
    return {
        "number": 1,
        "title": "Data set splits",
        "columns": [site.upper() for site in sites],
        "rows": lines,
        "note": note,
        "unit": COUNTS,
        "spread": "",
    }


def performance(config: Config, found: Mapping[Row, Mapping[str, Mapping[str, Any]]], site: str, note: str) -> Table:
    """One site's half of Table II, with the areas of Fig. 2: `found` gives each row's binary metrics at each site."""
    lines: list[Line] = []
    for row, of_site in found.items():
        published = TABLE_2.get(row.name) if site in PAPER_SITES else None
        at = 4 * PAPER_SITES.index(site) if published else 0
        paper: list[float | None] = [*published[at : at + 4], None] if published else [None] * len(COLUMNS)
        ours: list[Measured | None] = [per_cent(of_site[site][metric]) for metric in COLUMNS]
        lines.append({"name": named(row, config), "row": row.classifier(site), "paper": paper, "ours": ours})
    return {
        "number": f"Table 2, {site.upper()}",
        "title": "Performance by initialization",
        "columns": list(COLUMNS.values()),
        "rows": lines,
        "note": f"{note} Per image; AUC (Fig. 2) in per cent too.",
    }


def differences(
    config: Config, found: Mapping[Row, Mapping[str, Predictions]], site_names: Sequence[str], note: str
) -> Table:
    """How far the area under the ROC curve of each initialization lies above the random one's, a column a site.

    `found` gives each row's test predictions at each site. Paired: both classifiers meet the same resampled women.
    """
    random = next(row for row in found if row.kind == "random")
    lines: list[Line] = []
    for row, of_site in found.items():
        if row == random:
            continue
        ours: list[Measured | None] = []
        for site in site_names:
            pair = {row.name: of_site[site], random.name: found[random][site]}
            compared = comparison.compare(pair, "auc", positive=("case",), seed=config.seed)
            ours.append(per_cent(compared["pairs"][0]["difference"]))
        lines.append({"name": named(row, config), "row": "", "paper": [None] * len(site_names), "ours": ours})
    return {
        "number": "Extra",
        "title": "AUC above that of random initial weights",
        "columns": [site.upper() for site in site_names],
        "rows": lines,
        "note": f"{note} Paired by woman.",
        "unit": "points",
    }
