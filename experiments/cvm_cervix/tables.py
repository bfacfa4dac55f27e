"""The paper's tables and figures as data, and ours beside them; per cent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cervix_tf.report.tables import IMAGES, Measured, Row, Table

NAMES = {
    "vgg11": "VGG11",
    "vgg13": "VGG13",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "densenet121": "DenseNet121",
    "densenet169": "DenseNet169",
    "inception_v3": "InceptionV3",
    "xception": "Xception",
    "alexnet": "AlexNet",
    "googlenet": "GoogLeNet",
    "mobilenet_v2": "MobileNetV2",
    "shufflenet_v2_x1_0": "ShuffleNetV2×1.0",
    "shufflenet_v2_x0_5": "ShuffleNetV2×0.5",
    "inception_resnet_v1": "InceptionResNetV1",
    "vit_b16": "ViT",
    "botnet50": "BoTNet",
    "deit_tiny": "DeiT",
    "t2t_vit_14": "T2T-ViT",
    "cvm": "CVM-Cervix",
}
OTHER_NAMES = {"probe": "the probe"}
SCORES = {"macro_precision": "Avg. P", "macro_recall": "Avg. R", "macro_f1": "Avg. F1", "accuracy": "Acc"}

# Class -> images of train, validation, test.
TABLE_1 = {
    "ASC-H": (484, 161, 161),
    "ASC-US": (446, 148, 148),
    "SCC": (413, 137, 137),
    "HSIL": (525, 175, 174),
    "LSIL": (491, 164, 163),
    "NILM": (518, 172, 172),
    "Dyskeratotic": (488, 163, 162),
    "Koilocytotic": (495, 165, 165),
    "Metaplastic": (476, 159, 158),
    "Parabasal": (473, 157, 157),
    "Superficial-Intermediate": (499, 166, 166),
}
TABLE_4 = {"abnormal": (1620, 135, 135), "normal": (584, 48, 48)}  # its training part stands there four times
TABLE_5 = {
    "basophil": (731, 244, 243),
    "eosinophil": (1871, 623, 623),
    "erythroblast": (931, 310, 310),
    "ig": (1737, 579, 579),
    "lymphocyte": (729, 243, 242),
    "monocyte": (852, 284, 284),
    "neutrophil": (1998, 666, 665),
    "platelet": (1409, 470, 469),
}
SPLITS = {"combined": TABLE_1, "herlev": TABLE_4, "blood": TABLE_5}
# Network -> average precision, recall, F1 score, and accuracy on the test part.
TABLE_3 = {
    "vgg11": (84.80, 83.90, 84.00, 84.06),
    "vgg13": (85.30, 84.70, 84.40, 84.62),
    "vgg16": (79.80, 79.90, 79.60, 79.97),
    "vgg19": (78.60, 78.30, 78.20, 78.38),
    "resnet18": (88.40, 88.30, 88.20, 88.25),
    "resnet34": (88.00, 88.10, 87.90, 88.03),
    "resnet50": (87.60, 87.60, 87.30, 87.57),
    "resnet101": (86.50, 86.40, 86.30, 86.38),
    "densenet121": (87.90, 87.80, 87.70, 87.86),
    "densenet169": (89.20, 88.90, 88.70, 88.99),
    "inception_v3": (85.40, 84.90, 84.80, 84.96),
    "xception": (87.70, 87.70, 87.60, 87.69),
    "alexnet": (86.20, 86.20, 86.10, 86.10),
    "googlenet": (87.60, 87.20, 87.10, 87.29),
    "mobilenet_v2": (84.90, 84.60, 84.60, 84.62),
    "shufflenet_v2_x1_0": (85.50, 84.30, 84.50, 84.57),
    "shufflenet_v2_x0_5": (82.60, 82.60, 82.50, 82.64),
    "inception_resnet_v1": (85.20, 84.90, 84.90, 84.96),
    "vit_b16": (86.10, 86.00, 85.70, 85.87),
    "botnet50": (66.10, 65.50, 63.90, 65.51),
    "deit_tiny": (87.40, 87.40, 87.20, 87.35),
    "t2t_vit_14": (85.60, 85.30, 85.20, 85.19),
    "cvm": (91.80, 91.60, 91.70, 91.72),
}
# Task -> name of the figure, then the same four numbers of CVM-Cervix on validation and test.
PERFORMANCE = {
    "combined": ("Fig. 5", (92.80, 92.90, 92.80, 92.87), (91.80, 91.60, 91.70, 91.72)),
    "herlev": ("Fig. 9", (96.40, 95.10, 95.80, 96.72), (88.90, 93.50, 90.70, 92.35)),
    "blood": ("Fig. 11", (99.00, 98.90, 98.90, 98.89), (98.70, 98.40, 98.50, 98.48)),
}
FIGURE_7 = {False: (91.80, 91.60, 91.70, 91.72), True: (93.60, 93.50, 93.50, 93.48)}  # by augmented training
TIMES = (82.0, 8280.0, 18.0)  # sec. 4.5: seconds of an epoch and of training (2.3 hours), milliseconds of an image
MEBIBYTES = {32: 120, 16: 60}  # sec. 4.5 and 4.6

Scores = Mapping[str, Measured]
"""Metric -> what was measured, in per cent; see `results.scores`."""


def of_split(task: str, classes: Sequence[str], counts: Mapping[str, Sequence[int]], note: str) -> Table:
    """Table 1, 4 or 5: images of each class in each part; `counts` are ours, class -> train, validation, test."""
    published = SPLITS.get(task, {})
    rows: list[Row] = []
    for name in (*classes, "Total"):
        paper: list[float | None] | None = [*_summed(published, name)] if published else None
        ours: list[Measured | None] = [{"value": value} for value in _summed(counts, name)]
        rows.append({"name": name, "row": "", "paper": paper, "ours": ours})
    number = {"combined": 1, "herlev": 4, "blood": 5}.get(task, "Split")
    columns = ["Train", "Validation", "Test", "Total"]
    return {"number": number, "title": "Data settings", "columns": columns, "rows": rows, "note": note, "unit": IMAGES,
            "spread": ""}  # fmt: skip


def of_rows(found: Mapping[str, Scores], published: bool, note: str) -> Table:
    """Table 3: the test part by every network that was run; `found` is row -> scores."""
    rows = [_scored(name, row, TABLE_3[row] if published else None, found.get(row)) for row, name in NAMES.items()]
    return _table(3, "Comparison of the networks on the test part", rows, note)


def performance(task: str, name: str, validation: Scores | None, test: Scores, published: bool, note: str) -> Table:
    """Fig. 5, 9 or 11: one network on validation and test part."""
    figure, *papers = PERFORMANCE.get(task, ("", None, None))
    of = papers if published else [None, None]
    rows = [_scored("Validation", name, of[0], validation), _scored("Test", name, of[1], test)]
    return _table(figure or "Test", f"Performance of {NAMES.get(name, name)}", rows, note)


def four_times(found: Mapping[bool, Scores], published: bool, note: str) -> Table:
    """Fig. 7: CVM-Cervix trained without and with the augmented training set."""
    names = {False: "Unaugmented training set", True: "Augmented training set"}
    rows = [_scored(names[how], "cvm", FIGURE_7[how] if published else None, found.get(how)) for how in names]
    return _table("Fig. 7", "CVM-Cervix with the training set augmented four times", rows, note)


def weights(network: str, mebibytes: Mapping[int, float], found: Mapping[int, Measured], published: bool,
            note: str) -> Table:  # fmt: skip
    """Sec. 4.6: test accuracy with weights of 32 and of 16 bits."""
    rows: list[Row] = []
    for bits, measured in found.items():
        size = f"{mebibytes[bits]:.1f} MiB" + (f" (paper {MEBIBYTES[bits]} MB)" if published else "")
        paper: list[float | None] | None = [TABLE_3["cvm"][-1]] if published and bits == 32 else None
        rows.append({"name": f"{bits}-bit weights, {size}", "row": network, "paper": paper, "ours": [measured]})
    about = " The paper: about 1 point less with 16 bits." if published else ""
    return {"number": "Sec. 4.6", "title": f"Weights of {NAMES.get(network, network)} rounded to 16 bits",
            "columns": ["Acc"], "rows": rows, "note": note + about}  # fmt: skip


def times(network: str, measured: Sequence[Measured | None], published: bool, note: str) -> Table:
    """Sec. 4.5: seconds of an epoch and of the whole training, milliseconds of one test image."""
    row: Row = {"name": NAMES.get(network, network), "row": network, "ours": list(measured)}
    row["paper"] = [*TIMES] if published else None
    return {"number": "Sec. 4.5", "title": "Computational time", "columns": ["Epoch", "Training", "Test image"],
            "rows": [row], "note": note, "unit": "seconds, of an image milliseconds",
            "spread": "[5th, 95th percentile]"}  # fmt: skip


def flips(found: Mapping[str, Measured], network: str, note: str) -> Table:
    """Not in the paper: test accuracy with one pass an image, and with the mean of four mirrorings."""
    rows: list[Row] = [{"name": name, "row": network, "paper": None, "ours": [each]} for name, each in found.items()]
    return {"number": "Extra", "title": f"{NAMES.get(network, network)}: each test image mirrored", "columns": ["Acc"],
            "rows": rows, "note": note}  # fmt: skip


def probe(network: str, found: Scores, note: str) -> Table:
    """Not in the paper: what a logistic regression makes of the untrained features, on the test part."""
    rows = [_scored(f"{NAMES.get(network, network)}, features as they are", "probe", None, found)]
    return _table("Probe", "Logistic regression on the features of the first weights", rows, note)


def leak(published: Measured, free: Measured, difference: Measured, network: str, note: str) -> Table:
    """Not in the paper: test accuracy of both protocols, and by how many points the random split's is higher."""
    found = {"as_published: at random": published, "leak_free: by group": free, "Difference, points": difference}
    rows: list[Row] = [{"name": name, "row": network, "paper": None, "ours": [each]} for name, each in found.items()]
    return {"number": "Leak", "title": f"What a random split leaks to {(NAMES | OTHER_NAMES).get(network, network)}",
            "columns": ["Acc"], "rows": rows, "note": note}  # fmt: skip


def _summed(counts: Mapping[str, Sequence[int]], name: str) -> list[int]:
    """Of one class, or of all under "Total": its parts, then all parts together."""
    parts = [sum(column) for column in zip(*counts.values(), strict=True)] if name == "Total" else list(counts[name])
    return [*parts, sum(parts)]


def _scored(name: str, row: str, paper: Sequence[float] | None, ours: Scores | None) -> Row:
    return {
        "name": name,
        "row": row,
        "paper": list(paper) if paper else None,
        "ours": [ours[score] for score in SCORES] if ours else None,
    }


def _table(number: int | str, title: str, rows: list[Row], note: str) -> Table:
    return {"number": number, "title": title, "columns": list(SCORES.values()), "rows": rows, "note": note}
