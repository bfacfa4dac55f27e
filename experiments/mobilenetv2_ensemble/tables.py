"""Ours beside the paper's tables; percent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cervix_tf.compare import comparison
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from experiments.mobilenetv2_ensemble.config import (
    ANY_VIEWS_ROW,
    CLASSES,
    KINDS,
    MAIN,
    MAIN_ROW,
    PUBLISHED,
    TABLES,
    Config,
    finished,
)
from experiments.mobilenetv2_ensemble.data import described, is_paper_test_set

Results = Mapping[str, Mapping[str, Any]]
"""The metrics.json of each finished row."""

SCORES = ("Accuracy", "Precision", "Recall", "F1 score")
BALANCE = ("Accuracy", *(f"Class {at} TPR" for at in range(len(CLASSES))), "TPR harmonic mean")

_PLANS = {
    5: ("Baselines and the tuned MobileNetV2 on acetic acid images", SCORES),
    6: ("One network for all images, networks of single image types, and the ensemble", SCORES),
    7: ("Execution times of the networks' forward passes", ("Execution time",)),
    8: ("Experiments on class imbalance: tuned MobileNetV2, acetic acid images", BALANCE),
    9: ("Weighted (WCE) and plain (CE) cross entropy on the baselines, acetic acid images", BALANCE),
    10: ("Weighted (WCE) and plain (CE) cross entropy, image types and ensemble", BALANCE),
}
CONTRADICTIONS = {
    5: "The paper's test classes are equally large (Tables 8 to 10), so its mean recall would equal its accuracy; "
    "the printed recall is lower in every line, 52.70 where Table 8's rates have the mean 71.25.",
    6: "The printed recall of the first two lines, 38.27 and 52.70, contradicts their accuracy: the paper's test "
    "classes are equally large, so both would be the same, as in the other lines.",
    9: "The printed accuracy of DenseNet with CE, 66.66, contradicts its rates, whose mean is 56.66. "
    "Those of ResNet18, MobileNetV2 and ResNeXt-101 with CE, 65.00, 65.41 and 65.00, are above Table 5's, the best of "
    "all epochs: they are other trainings, while ours are the same.",
}
"""What the paper's tables say against themselves. A test computes it."""
_TIMES = "Ours: published architectures at 224 x 298 pixels with random weights; the paper's on two 2.30 GHz Xeon CPUs."


def of_run(config: Config, out: RunDir) -> list[Table]:
    """The tables that what is finished allows: Table 6, the others with a row of their own, the areas under the curves.

    On synthetic visits also how much of the heat maps lies on what was drawn.
    """
    results = finished(out)
    how = f"{config.folds}-fold cross-validation by case" if config.folds > 1 else f"protocol {config.protocol}"
    manifest = pd.read_csv(out.manifest, dtype=str, keep_default_na=False)
    whose = "the paper's test set" if is_paper_test_set(config, manifest) else "not the paper's test set"
    note = f"Ours: {described(config).text}, {how}; {whose}."
    tables = []
    for number, (title, columns) in _PLANS.items():
        if number == 6 or any(row in results for row in TABLES[number] if row not in MAIN):
            rows = [
                line(name, row, paper, _ours(columns, results.get(row), *binary))
                for name, row, paper, *binary in getattr(PUBLISHED, f"table_{number}")
            ]
            if number == 7:
                spread = "[5th, 95th percentile]"
                tables.append(table(number, title, columns, rows, _TIMES, unit="milliseconds", spread=spread))
            else:
                notes = f"{note} {CONTRADICTIONS.get(number, '')}".rstrip()
                tables.append(table(number, title, columns, rows, notes))
    tables += _areas(results, note)
    if ANY_VIEWS_ROW in results:
        found = {
            row: predictions.read(out.row(row).predictions) for row in (ANY_VIEWS_ROW, "ensemble") if row in results
        }
        tables.append(any_views(found, described(config).positive, config.seed, note))
    if out.evidence.exists():
        evidence = read_json(out.evidence)
        title = "Grad-CAM++ of correctly classified cases: share of the heat within the drawn evidence's boxes"
        row = line("Ensemble fine-tuned", MAIN_ROW, None, [per_cent(evidence[key]) for key in ("heat", "even")])
        tables.append(table("Sec. 4.5", title, ["Heat map", "Even map"], [row], note))
    return tables


def _ours(columns: Sequence[str], metrics: Mapping[str, Any] | None, binary: str = "") -> list[Measured] | None:
    """The numbers of one row in a table's columns, of four classes or of the binary reading; None if not run."""
    if metrics is None:
        return None
    if "milliseconds" in metrics:
        return [metrics["milliseconds"]]
    whole = metrics["binary"]["metrics"] if binary else metrics["metrics"]
    if columns == SCORES:
        return [per_cent(whole[name]) for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1")]
    rates = [metrics["per_class"][name]["sensitivity"] for name in CLASSES]
    return [per_cent(each) for each in (whole["accuracy"], *rates, whole["harmonic_mean_tpr"])]


def any_views(found: Mapping[str, Predictions], positive: Sequence[str], seed: int, note: str) -> Table:
    """Not in the paper: the ensemble of any views, on all cases, and on complete ones beside the published design.

    `found` gives test predictions of `ensemble-any-views` and, where it is finished, of `ensemble`, whose cases are the
    complete ones. Differences are paired: both networks meet the same resampled groups.
    """
    ours = found[ANY_VIEWS_ROW]
    columns: dict[str, comparison.Metric] = {"Accuracy": "accuracy", "AUC, probability": "auc"}

    def compared(models: Mapping[str, Predictions]) -> list[dict[str, Any]]:
        return [comparison.compare(models, metric, positive=positive, seed=seed) for metric in columns.values()]

    def measured(cases: Predictions) -> list[Measured]:
        return [per_cent(each["models"]["alone"]) for each in compared({"alone": cases})]

    rows = [line("Ensemble of any views, all cases", ANY_VIEWS_ROW, None, measured(ours))]
    if "ensemble" in found:
        published = found["ensemble"]
        complete = ours.table["id"].isin(published.table["id"])
        if not complete.all():
            rows.append(line("... cases that lack a view", ANY_VIEWS_ROW, None, measured(ours.where(~complete))))
        both = compared({"any": ours.of(published.table["id"]), "published": published})
        for name, row, model in (
            ("... complete cases", ANY_VIEWS_ROW, "any"),
            ("Ensemble as published, complete cases", "ensemble", "published"),
        ):
            rows.append(line(name, row, None, [per_cent(each["models"][model]) for each in both]))
        differences = [per_cent(each["pairs"][0]["difference"]) for each in both]
        rows.append(line("Difference on complete cases, points", "", None, differences))
    title = "Ensemble that works with the views there are (ours)"
    note += " AUC: CIN2/3 and cancer against the rest. The difference is paired, any views minus published."
    return table("Extra", title, columns, rows, note)


def _areas(results: Results, note: str) -> list[Table]:
    """Areas under the ROC curves of Fig. 6 and 7, of which the paper draws the curves only."""
    names = {row: f"Network of {row} images" for row in KINDS}
    names |= {"all-types": "Network of all image types", "ensemble": "Ensemble", "ensemble-weighted": "Ensemble, WCE"}
    names |= {"ensemble-fine-tuned": "Ensemble fine-tuned", "ensemble-end-to-end": "Ensemble fine-tuned end to end"}
    names |= {f"probe-{kind}": f"Logistic regression on untouched features, {kind} images" for kind in KINDS}
    margins, binary = [], []
    for row, name in names.items():
        if row in results:
            margin, probability = results[row]["margin"], results[row]["binary"]["metrics"]["auc"]
            margins.append(line(name, row, None, [per_cent(margin["per_class"][each]["auc"]) for each in CLASSES]))
            binary.append(line(name, row, None, [per_cent(margin["binary"]["auc"]), per_cent(probability)]))
    of_class, of_binary = (
        "Each class against the others: area under the margin's ROC curve",
        "Normal and CIN1 against CIN2/3 and cancer: area under the ROC curve",
    )
    classes, both = [f"Class {at}" for at in range(len(CLASSES))], ["AUC, margin", "AUC, probability"]
    return [
        table("Fig. 6", of_class, classes, margins, note),
        table("Fig. 7", of_binary, both, binary, note),
    ]
