"""The paper's tables as data: what is printed beside our numbers."""

from __future__ import annotations

from typing import Any

from cervix_tf.report.tables import Measured, Row, Table
from experiments.mobilenetv2_ensemble.config import KINDS

COLUMNS = ("Accuracy", "Precision", "Recall", "F1 score")
_MEASURES = ("accuracy", "macro_precision", "macro_recall", "macro_f1")

# Row name in the paper, our row, whether read as binary, the paper's percentages.
TABLE_6 = (
    ("MobileNetV2 trained on acetic acid images", "acetic", False, (71.24, 66.39, 52.70, 57.69)),
    ("MobileNetV2 trained on green lens images", "green", False, (75.00, 81.80, 75.00, 75.24)),
    ("MobileNetV2 trained on iodine solution images", "iodine", False, (75.00, 79.80, 75.00, 74.62)),
    ("Ensemble, four class mode", "ensemble", False, (81.25, 85.04, 81.25, 81.20)),
    ("Ensemble, binary classification mode", "ensemble", True, (89.58, 89.65, 89.58, 89.57)),
)


def table_6(metrics: dict[str, dict[str, Any]], note: str) -> Table:
    """Table 6 beside ours, in the form of tables.json; `metrics` holds the metrics.json of each of our rows."""
    rows: list[Row] = []
    for name, row, binary, paper in TABLE_6:
        found = metrics[row]["binary"]["metrics"] if binary else metrics[row]["metrics"]
        rows.append({"name": name, "row": row, "paper": list(paper), "ours": [_percent(found[m]) for m in _MEASURES]})
    return {
        "number": 6,
        "title": "Networks of single image types and the ensemble",
        "columns": list(COLUMNS),
        "rows": rows,
        "note": note,
    }


def binary_auc(metrics: dict[str, dict[str, Any]], note: str) -> Table:
    """Area under the ROC curve of the binary reading, one row a network; the paper draws the curve (Fig. 7) only."""
    named = {row: f"Network of {row} images" for row in KINDS} | {"ensemble": "Ensemble"}
    named |= {f"probe-{kind}": f"Logistic regression on untouched features, {kind} images" for kind in KINDS}
    rows: list[Row] = [
        {"name": name, "row": row, "paper": None, "ours": [_percent(metrics[row]["binary"]["metrics"]["auc"])]}
        for row, name in named.items()
        if row in metrics
    ]
    return {
        "number": "Fig. 7",
        "title": "Normal and CIN1 against CIN2/3 and cancer: area under the ROC curve",
        "columns": ["AUC"],
        "rows": rows,
        "note": note,
    }


def _percent(measure: dict[str, Any]) -> Measured:
    value, low, high = (None if measure[key] is None else 100 * measure[key] for key in ("value", "low", "high"))
    return {"value": value, "low": low, "high": high, "n": measure["n"], "method": measure["method"]}
