"""Figs. 3 and 4 from our numbers: what the losses did in training, and how the embeddings lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cervix_tf import history_file
from cervix_tf.explain.t_sne import t_sne
from cervix_tf.metrics.embeddings import Embeddings
from cervix_tf.report import figures, paper_figures
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir
from experiments.metric_learning.config import METHODS, METRIC_LEARNING, Row
from experiments.metric_learning.tables import named

_MOST = 250  # images of either split in a panel: more hide each other


def draw(embeddings: Mapping[Row, Embeddings], out: RunDir, seed: int) -> None:
    """Write Fig. 3, one per row of metric learning, and Fig. 4, one panel per row, into the run."""
    drawn: dict[str, Picture | None] = {}
    for row in embeddings:
        if row.method in METRIC_LEARNING and out.row(row.name).history.exists():
            history = history_file.read(out.row(row.name).history)
            drawn[f"Fig. 3 {named(row)}"] = figures.training(named(row), [history], "val_loss", "val1")
    drawn["Fig. 4"] = embedding_map(embeddings, seed)
    paper_figures.write(out, drawn)


def embedding_map(embeddings: Mapping[Row, Embeddings], seed: int) -> Picture:
    """t-SNE of training images (faint) and val2 (bold) of every row, those of one network in a column."""
    networks = list(dict.fromkeys(row.network for row in embeddings))
    panels, classes = {}, next(iter(embeddings.values())).classes
    for row in sorted(embeddings, key=lambda row: METHODS.index(row.method)):
        train, val2 = (embeddings[row].part(part).at_most(_MOST, seed) for part in ("train", "val2"))
        points = t_sne(np.concatenate([train.values, val2.values]), seed)
        bold = np.arange(len(points)) >= len(train)
        panels[named(row)] = points, np.concatenate([train.labels, val2.labels]), bold
    return figures.scatter(
        panels,
        classes,
        len(networks),
        f"t-SNE of the embeddings: training images faint, val2 bold, at most {_MOST} of each, drawn at random; axes "
        "have no unit.",
    )
