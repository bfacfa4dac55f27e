"""The paper's tables as data, and ours beside them.

Per cent throughout, though the paper prints precisions and kappas as fractions. The
values of Tables 3, 5 and 6 are not in the text that the project works from (they are
pictures there), so their cells of the paper stay empty.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from cervix_tf.report.tables import Measured, Row, Table
from experiments.metric_learning.config import METHODS, NEIGHBOURS
from experiments.metric_learning.rows import Row as OurRow

Score = Callable[..., Measured | None]
"""(row, K, class) -> the measured number (see `measures.score`), None where that row was not run."""

NETWORK_NAMES = {
    "resnet50": "ResNet-50",
    "mobilenet": "MobileNet",
    "nasnet_mobile": "NasNet",
    "mobilenet_v2": "MobileNetV2",
}
METHOD_NAMES = {
    "pretrained": "Pre-trained",
    "fine_tuned": "Fine-tuned",
    "contrastive": "Contrastive",
    "n_pair": "N-Pair Embedding",
    "batch_hard": "Batch-hard",
}

# K -> network -> mean K-precision in val2 of METHODS.
TABLE_2 = {
    1: {
        "resnet50": (65.12, 90.43, 89.20, 91.05, 91.98),
        "mobilenet": (70.99, 91.05, 90.74, 91.67, 91.05),
        "nasnet_mobile": (66.36, 87.04, 91.05, 92.28, 93.21),
    },
    3: {
        "resnet50": (66.87, 89.92, 89.40, 91.15, 91.98),
        "mobilenet": (66.36, 90.43, 89.61, 91.67, 91.05),
        "nasnet_mobile": (66.05, 87.55, 89.61, 92.08, 93.21),
    },
    5: {
        "resnet50": (67.84, 89.26, 89.32, 91.05, 91.98),
        "mobilenet": (66.11, 90.31, 89.51, 91.67, 91.05),
        "nasnet_mobile": (64.51, 87.16, 89.63, 92.04, 93.21),
    },
}
# K -> network -> accuracy in val2 of METHODS, each of control and case.
TABLE_4 = {
    1: {
        "resnet50": ((78.93, 24.39), (95.45, 75.61), (96.28, 68.29), (94.63, 76.83), (94.63, 84.15)),
        "mobilenet": ((80.99, 41.46), (95.04, 79.27), (93.39, 73.17), (92.15, 86.59), (92.56, 82.93)),
        "nasnet_mobile": ((76.45, 36.59), (91.74, 73.17), (95.04, 68.29), (91.74, 89.02), (91.32, 91.46)),
    },
    3: {
        "resnet50": ((88.43, 18.29), (96.28, 73.17), (96.69, 68.29), (95.87, 80.49), (94.63, 84.15)),
        "mobilenet": ((82.64, 32.93), (95.45, 75.61), (94.63, 75.61), (92.15, 86.59), (92.56, 82.93)),
        "nasnet_mobile": ((84.30, 30.49), (93.39, 76.83), (95.87, 68.29), (91.74, 89.02), (91.32, 91.46)),
    },
    5: {
        "resnet50": ((95.04, 10.98), (95.04, 71.95), (96.69, 68.29), (94.21, 80.49), (94.63, 84.15)),
        "mobilenet": ((83.88, 28.05), (96.28, 75.61), (95.04, 79.27), (92.15, 86.59), (92.56, 82.93)),
        "nasnet_mobile": ((87.19, 26.83), (94.63, 71.95), (95.45, 69.51), (92.56, 87.80), (91.32, 91.46)),
    },
}
VAL2 = (242, 82)  # controls and cases: the only counts that Table 4's per cents fit
# Age -> reader -> controls called control, controls called case, cases called control, cases called case.
TABLE_7 = {
    "all": {"second": (6782, 1392, 14, 71), "ours": (6961, 1213, 14, 71)},
    "<25": {"second": (712, 212, 4, 15), "ours": (704, 220, 5, 14)},
    "25-49": {"second": (4210, 800, 2, 43), "ours": (4318, 692, 4, 41)},
    "50+": {"second": (1852, 380, 8, 12), "ours": (1931, 301, 5, 15)},
}
# Age -> both control, only ours case, only the second reader's case, both case; kappa.
TABLE_8 = {
    "all": ((6613, 183, 362, 1101), 0.76),
    "<25": ((676, 40, 33, 194), 0.79),
    "25-49": ((4120, 92, 202, 641), 0.78),
    "50+": ((1809, 51, 127, 265), 0.70),
}
AGES = tuple(TABLE_7)
AGE_NAMES = {"all": "All", "<25": "Under 25", "25-49": "25 to 49", "50+": "50 and over", "unknown": "Age unknown"}
_NOT_IN_TEXT = "The paper's values are not in the text that we work from."


def k_precision(number: int, part: str, networks: Sequence[str], score: Score, note: str) -> Table:
    """Table 2 (val2) or 5 (hold-out): mean K-precision, one line a K and network, one column a method."""
    rows: list[Row] = []
    for k in NEIGHBOURS:
        for network in networks:
            paper = TABLE_2[k].get(network) if number == 2 else None
            ours = [score(OurRow(network, method), k) for method in METHODS]
            rows.append(_row(f"K = {k}, {NETWORK_NAMES[network]}", network, paper, ours))
    missing = "" if number == 2 else f" {_NOT_IN_TEXT}"
    return {
        "number": number,
        "title": f"Mean K-precision, {part}",
        "columns": list(METHOD_NAMES.values()),
        "rows": rows,
        "note": note + missing,
    }


def of_classes(
    number: int, title: str, networks: Sequence[str], classes: Sequence[str], ks: Sequence[int], score: Score, note: str
) -> Table:
    """Table 3, 4 or 6: one line a (K,) network and method, one column a class.

    `ks` is empty where the number does not depend on K (N-precision).
    """
    rows: list[Row] = []
    for k in ks or (0,):
        for network in networks:
            for at, method in enumerate(METHODS):
                published = number == 4 and len(classes) == 2 and TABLE_4[k].get(network)
                ours = [score(OurRow(network, method), k, name) for name in classes]
                name = f"{f'K = {k}, ' if k else ''}{NETWORK_NAMES[network]}, {METHOD_NAMES[method]}"
                rows.append(_row(name, network, published[at] if published else None, ours))
    missing = "" if number == 4 else f" {_NOT_IN_TEXT}"
    columns = [name.capitalize() for name in classes]
    return {"number": number, "title": title, "columns": columns, "rows": rows, "note": note + missing}


def by_age(
    classes: Sequence[str], ours: Mapping[str, Sequence[Measured]], second: Mapping[str, Sequence[Measured]], note: str
) -> Table:
    """Table 7: share of each class found in the hold-out part by the second reader and by ours, all and by age.

    `ours` and `second` give one number a class for each age; ages that nobody has are left out.
    """
    binary = len(classes) == 2
    rows: list[Row] = []
    for age in (*AGES, "unknown"):
        for name, side, found in (("second reader", "second", second), ("ours", "ours", ours)):
            if age in found:
                counts = TABLE_7.get(age, {}).get(side) if binary else None
                paper = (_share(counts[0], counts[1]), _share(counts[3], counts[2])) if counts else None
                rows.append(_row(f"{AGE_NAMES[age]}, {name}", side, paper, list(found[age])))
    return {
        "number": 7,
        "title": "Hold-out part, by age: per cent of each class called so",
        "columns": [f"{name.capitalize()} found" for name in classes],
        "rows": rows,
        "note": note,
    }


def agreement(classes: Sequence[str], found: Mapping[str, Mapping[Hashable, Measured]], note: str) -> Table:
    """Table 8: our verdicts against the second reader's, all and by age; counts as per cent of the rows.

    `found` gives, for each age, `kappa` and, of two classes, the four cells of the
    confusion matrix as "00", "01" (only ours says the second class), "10", "11"; of more
    classes `same`, the share of equal verdicts.
    """
    binary = len(classes) == 2
    cells = {
        "00": f"Both {classes[0]}",
        "01": f"Only ours {classes[1]}",
        "10": f"Only second {classes[1]}",
        "11": f"Both {classes[1]}",
    }
    columns = {**(cells if binary else {"same": "Same verdict"}), "kappa": "Kappa x 100"}
    rows: list[Row] = []
    for age in (*AGES, "unknown"):
        if age in found:
            paper = None
            if binary and age in TABLE_8:
                counts, kappa = TABLE_8[age]
                paper = [*(100 * count / sum(counts) for count in counts), 100 * kappa]
            rows.append(_row(AGE_NAMES[age], "ours", paper, [found[age].get(key) for key in columns]))
    return {
        "number": 8,
        "title": "Our verdicts against the second reader's, hold-out part",
        "columns": list(columns.values()),
        "rows": rows,
        "note": note,
    }


def verdicts(rows: Mapping[str, Sequence[Measured]], classes: Sequence[str], note: str) -> Table:
    """Accuracy of every row on the hold-out part, over all and by class, at the K that val2 chose for it.

    The paper reports it of its best row only (Table 7).
    """
    return {
        "number": "Hold-out",
        "title": "Hold-out accuracy of every row",
        "columns": ["Accuracy", *(f"{name} found" for name in classes)],
        "rows": [{"name": name, "row": name, "paper": None, "ours": list(found)} for name, found in rows.items()],
        "note": note,
    }


def _row(name: str, row: str, paper: Sequence[float] | None, ours: Sequence[Measured | None]) -> Row:
    return {"name": name, "row": row, "paper": list(paper) if paper else None, "ours": list(ours)}


def _share(hits: int, misses: int) -> float:
    return 100 * hits / (hits + misses)
