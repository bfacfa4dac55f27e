"""The paper's figures from our numbers; each shows what is finished of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cervix_tf.report import figures, headline, paper_figures
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir
from experiments.mobilenetv2_ensemble.config import CLASSES, KINDS
from experiments.mobilenetv2_ensemble.rows import BASELINES
from experiments.mobilenetv2_ensemble.tables import Found

CE, WCE = "cross entropy", "weighted cross entropy"


def draw(found: Found, out: RunDir, mosaic: Picture | None) -> None:
    """Write Fig. 3 to 10 and the confusion matrices of every row into the run; `mosaic` is Fig. 10."""
    manifest = pd.read_csv(out.manifest, dtype=str, keep_default_na=False)
    train = manifest[manifest["split"] == "train"]["label"]
    counts = {name: int((train == name).sum()) for name in CLASSES}
    fused = next((row for row in ("ensemble-fine-tuned", "ensemble") if row in found), "")
    drawn: dict[str, Picture | None] = {
        "Fig. 3": figures.population(counts, "Training images of each class"),
        "Fig. 4": _rates(found, {CE: "acetic"}, "acetic acid images"),
        "Fig. 5": _rates(found, {CE: "acetic", WCE: "acetic-exp100"}, "acetic acid images", whole=True),
        "Fig. 6": _roc(found, fused, CLASSES),
        "Fig. 7": _roc(found, fused, ["binary"]),
    }
    for name in BASELINES:
        both = {CE: f"{name}-balanced", WCE: f"{name}-weighted"}
        drawn[f"Fig. 8 {name}"] = _rates(found, both, name, whole=True)
    for kind in (*KINDS, "ensemble"):
        other = "ensemble-weighted" if kind == "ensemble" else f"{kind}-exp100"
        drawn[f"Fig. 9 {kind}"] = _rates(found, {CE: kind, WCE: other}, kind, whole=True)
    drawn["Fig. 10"] = mosaic
    for row, metrics in found.items():
        if "confusion" in metrics:
            drawn[f"Confusion matrix of {row}"] = figures.confusion(metrics["confusion"], CLASSES, row)
    paper_figures.write(out, drawn)


def _rates(found: Found, series: Mapping[str, str], name: str, whole: bool = False) -> Picture | None:
    """Per-class bars of the series whose rows are finished; None without any, or where `whole` wants them all."""
    there = {
        label: {each: found[row]["per_class"][each]["sensitivity"] for each in CLASSES}
        for label, row in series.items()
        if row in found
    }
    return figures.rates(there, name) if there and not (whole and len(there) < len(series)) else None


def _roc(found: Found, row: str, sides: Any) -> Picture | None:
    """Margin ROC curves of the ensemble: of each class, or of the binary reading."""
    if not row:
        return None
    margin = found[row]["margin"]
    curves = []
    for side in sides:
        each = margin["binary"] if side == "binary" else margin["per_class"][side]
        label = "CIN2/3 or cancer" if side == "binary" else side
        curves.append((label, each["curve"], headline.text("auc", each["auc"])))
    return figures.roc(curves, f"{row}, margin to the strongest candidate against a threshold in [-1, 1]")
