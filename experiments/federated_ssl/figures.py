"""Fig. 2 from our numbers: ROC curves of all initializations, one figure a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cervix_tf.report import figures, paper_figures, summary_cards
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir
from experiments.federated_ssl import tables
from experiments.federated_ssl.config import Config, Row


def draw(config: Config, results: Mapping[Row, Mapping[str, Mapping[str, Any]]], out: RunDir) -> None:
    """Write Fig. 2 (a), (b), ...: `results` gives metrics.json of each row's classifier of each site."""
    sites = list(dict.fromkeys(site for of_site in results.values() for site in of_site))
    drawn: dict[str, Picture | None] = {}
    for letter, site in zip("abcdefgh", sites, strict=False):
        curves = [
            (
                tables.named(row, config),
                of_site[site]["roc"]["binary"],
                summary_cards.text("auc", of_site[site]["binary"]["metrics"]["auc"]),
            )
            for row, of_site in results.items()
            if site in of_site
        ]
        drawn[f"Fig. 2 {letter}"] = figures.roc(curves, f"{site.upper()}, test images, by initialization")
    paper_figures.write(out, drawn)
