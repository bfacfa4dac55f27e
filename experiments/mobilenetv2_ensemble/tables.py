"""The paper's tables as data, ours beside them; per cent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cervix_tf.report.tables import Measured, Table, line, per_cent
from cervix_tf.run_dir import RunDir, read_json
from experiments.mobilenetv2_ensemble.config import CLASSES, FORWARD_MS, KINDS, MAIN, MAIN_ROW, TABLES, Config, finished
from experiments.mobilenetv2_ensemble.data import described, is_paper_test_set

Results = Mapping[str, Mapping[str, Any]]
"""The metrics.json of each finished row."""

SCORES = ("Accuracy", "Precision", "Recall", "F1 score")
BALANCE = ("Accuracy", *(f"Class {at} TPR" for at in range(len(CLASSES))), "TPR harmonic mean")

# Name in the paper, our row, the paper's numbers; a row read as binary ends in True.
TABLE_5 = (
    ("DenseNet", "densenet121", (63.75, 55.26, 39.20, 43.61)),
    ("ResNet18", "resnet18", (64.16, 44.54, 34.04, 37.40)),
    ("MobileNetV2", "mobilenet_v2", (64.58, 45.03, 35.48, 38.04)),
    ("ResNeXt-101", "resnext101_32x8d", (64.58, 48.30, 35.41, 39.04)),
    ("VGG19", "vgg19", (68.75, 49.26, 40.74, 44.42)),
    ("MobileNetV2 tuned", "acetic", (71.24, 66.39, 52.70, 57.69)),
)
TABLE_6 = (
    ("MobileNetV2 trained on all image types", "all-types", (63.98, 45.45, 38.27, 40.39)),
    ("MobileNetV2 trained on acetic acid images", "acetic", (71.24, 66.39, 52.70, 57.69)),
    ("MobileNetV2 trained on green lens images", "green", (75.00, 81.80, 75.00, 75.24)),
    ("MobileNetV2 trained on iodine solution images", "iodine", (75.00, 79.80, 75.00, 74.62)),
    ("Ensemble, four class mode", "ensemble", (81.25, 85.04, 81.25, 81.20)),
    ("Ensemble, binary classification mode", "ensemble", (89.58, 89.65, 89.58, 89.57), True),
    ("Ensemble fine-tuned, four class mode", "ensemble-fine-tuned", (83.33, 86.41, 83.33, 83.55)),
    ("Ensemble fine-tuned, binary classification mode", "ensemble-fine-tuned", (91.66, 91.66, 91.66, 91.66), True),
    # Sec. 5: "the accuracy was lower"; no number is printed.
    ("Ensemble fine-tuned end to end, four class mode", "ensemble-end-to-end", None),
    ("Ensemble fine-tuned end to end, binary classification mode", "ensemble-end-to-end", None, True),
)
_NAMES_7 = ("ResNeXt-101", "VGG19", "DenseNet", "ResNet18", "MobileNetV2 (original model)",
            "MobileNetV2 (having our modifications)", "Ensemble")  # fmt: skip
TABLE_7 = tuple((name, row, (FORWARD_MS[row],)) for name, row in zip(_NAMES_7, TABLES[7], strict=True))
_RECALCULATED = "Weighted cross entropy, weights recalculated each epoch"
TABLE_8 = (
    ("Cross entropy loss", "acetic", (71.24, 91.66, 41.66, 65.00, 86.66, 64.69)),
    ("Focal loss, γ = 1", "acetic-focal-1", (67.08, 86.66, 53.33, 55.00, 73.33, 64.40)),
    ("Focal loss, γ = 2", "acetic-focal-2", (66.66, 66.66, 61.66, 56.66, 81.66, 65.45)),
    ("Focal loss, γ = 5", "acetic-focal-5", (66.25, 93.33, 40.00, 56.66, 75.00, 59.97)),
    ("Weighted cross entropy, weights fixed to the ratio of each class in the training population",
     "acetic-population", (67.08, 91.66, 50.00, 48.33, 78.33, 62.14)),
    (f"{_RECALCULATED}, φ(x) = x³", "acetic-x3", (71.66, 83.33, 53.33, 70.00, 80.00, 69.52)),
    (f"{_RECALCULATED}, φ(x) = exp(x)", "acetic-exp", (70.41, 86.66, 46.66, 71.66, 76.66, 66.70)),
    (f"{_RECALCULATED}, φ(x) = exp(10x)", "acetic-exp10", (70.00, 78.33, 55.00, 66.66, 80.00, 68.43)),
    (f"{_RECALCULATED}, φ(x) = exp(100x)", "acetic-exp100", (71.25, 80.00, 65.00, 61.66, 78.33, 70.33)),
)  # fmt: skip
TABLE_9 = (
    ("CE, DenseNet", "densenet121-balanced", (66.66, 86.66, 40.00, 33.33, 66.66, 49.05)),
    ("WCE, DenseNet", "densenet121-weighted", (65.41, 85.00, 45.00, 46.66, 85.00, 59.54)),
    ("CE, ResNet18", "resnet18-balanced", (65.00, 96.66, 38.33, 51.66, 73.33, 57.61)),
    ("WCE, ResNet18", "resnet18-weighted", (61.66, 75.00, 56.66, 35.00, 80.00, 55.51)),
    ("CE, VGG", "vgg19-balanced", (65.83, 88.33, 33.33, 60.00, 81.66, 56.95)),
    ("WCE, VGG", "vgg19-weighted", (63.75, 83.33, 46.66, 50.00, 75.00, 59.91)),
    ("CE, MobileNetV2", "mobilenet_v2-balanced", (65.41, 86.66, 56.66, 41.66, 76.66, 60.39)),
    ("WCE, MobileNetV2", "mobilenet_v2-weighted", (64.16, 70.00, 53.33, 65.00, 68.33, 63.43)),
    ("CE, ResNeXt-101", "resnext101_32x8d-balanced", (65.00, 96.66, 50.00, 50.00, 63.33, 60.48)),
    ("WCE, ResNeXt-101", "resnext101_32x8d-weighted", (67.08, 95.00, 35.00, 51.66, 86.66, 57.15)),
)
_ENSEMBLE = (81.25, 91.66, 58.33, 83.33, 91.66, 78.49)  # printed once, for both
TABLE_10 = (
    ("CE, MobileNetV2, acetic acid", "acetic", (71.24, 91.66, 41.66, 65.00, 86.66, 64.69)),
    ("WCE, MobileNetV2, acetic acid", "acetic-exp100", (71.25, 80.00, 65.00, 61.66, 78.33, 70.33)),
    ("CE, MobileNetV2, green lens", "green", (75.00, 91.66, 58.33, 83.33, 66.66, 72.65)),
    ("WCE, MobileNetV2, green lens", "green-exp100", (77.08, 83.33, 58.33, 83.33, 83.33, 75.26)),
    ("CE, MobileNetV2, iodine solution", "iodine", (75.00, 83.33, 50.00, 75.00, 91.66, 71.12)),
    ("WCE, MobileNetV2, iodine solution", "iodine-exp100", (72.91, 91.66, 58.33, 75.00, 66.66, 70.94)),
    ("CE, ensemble, all images", "ensemble", _ENSEMBLE),
    ("WCE, ensemble, all images", "ensemble-weighted", _ENSEMBLE),
)
_PLANS = {
    5: ("Baselines and the tuned MobileNetV2 on acetic acid images", SCORES, TABLE_5),
    6: ("One network for all images, networks of single image types, and the ensemble", SCORES, TABLE_6),
    7: ("Execution times of the networks' forward passes", ("Execution time",), TABLE_7),
    8: ("Experiments on class imbalance: tuned MobileNetV2, acetic acid images", BALANCE, TABLE_8),
    9: ("Weighted (WCE) and plain (CE) cross entropy on the baselines, acetic acid images", BALANCE, TABLE_9),
    10: ("Weighted (WCE) and plain (CE) cross entropy, image types and ensemble", BALANCE, TABLE_10),
}
CONTRADICTIONS = {
    5: "The paper's test classes are equally large (Tables 8 to 10), so that its mean recall would be its accuracy; "
    "the printed recall is lower in every line, 52.70 where Table 8's rates have the mean 71.25.",
    6: "The printed recall of the first two lines, 38.27 and 52.70, contradicts their accuracy: the paper's test "
    "classes are equally large, so that both would be the same, as in the other lines.",
    9: "The printed accuracy of DenseNet with CE, 66.66, contradicts its rates, whose mean is 56.66.",
}
"""What the paper's tables say against themselves. A test computes it."""
_TIMES = "Ours: published architectures at 224 x 298 pixels with random weights; the paper's on two 2.30 GHz Xeon CPUs."


def of_run(config: Config, out: RunDir) -> list[Table]:
    """The tables that what is finished allows: Table 6, the others with a row of their own, the areas under the curves.

    On synthetic visits also how much of the heat maps lies on what was drawn.
    """
    results = finished(out)
    how = f"{config.folds}-fold cross-validation by case" if config.folds > 1 else f"protocol {config.protocol}"
    whose = "the paper's test set" if is_paper_test_set(config, _manifest(out)) else "not the paper's test set"
    note = f"Ours: {described(config).text}, {how}; {whose}."
    tables = []
    for number, (title, columns, lines) in _PLANS.items():
        if number == 6 or any(row in results for row in TABLES[number] if row not in MAIN):
            rows = [
                line(name, row, paper, _ours(columns, results.get(row), *rest)) for name, row, paper, *rest in lines
            ]
            notes = f"{note} {CONTRADICTIONS.get(number, '')}".rstrip()
            table = Table(number=number, title=title, columns=list(columns), rows=rows, note=notes)
            times = Table(note=_TIMES, unit="milliseconds", spread="[5th, 95th percentile]")
            tables.append(Table({**table, **times}) if number == 7 else table)
    tables += _areas(results, note)
    if out.evidence.exists():
        evidence = read_json(out.evidence)
        title = "Grad-CAM++ of correctly classified cases: share of the heat within the drawn evidence's boxes"
        row = line("Ensemble fine-tuned", MAIN_ROW, None, [per_cent(evidence[key]) for key in ("heat", "even")])
        tables.append(Table(number="Sec. 4.5", title=title, columns=["Heat map", "Even map"], rows=[row], note=note))
    return tables


def _manifest(out: RunDir) -> pd.DataFrame:
    return pd.read_csv(out.manifest, dtype=str, keep_default_na=False)


def _ours(columns: Sequence[str], metrics: Mapping[str, Any] | None, binary: bool = False) -> list[Measured] | None:
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
        Table(number="Fig. 6", title=of_class, columns=classes, rows=margins, note=note),
        Table(number="Fig. 7", title=of_binary, columns=both, rows=binary, note=note),
    ]
