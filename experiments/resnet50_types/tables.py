"""The paper's tables as data, ours beside them, and the table of the leak; per cent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping

from cervix_tf.config import Protocol
from cervix_tf.report.tables import IMAGES, Measured, Row, Table
from experiments.resnet50_types.config import PROTOCOLS

TABLE_1 = {"All": 8215, "Train": 5750, "Test": 2464}  # the parts add up to 8214
TABLE_2 = (77.0, 79.0)  # accuracy, F1 score of 2464 images
SCORES = {"accuracy": "Accuracy", "macro_f1": "F1 (macro)"}
NAMES = {
    "as_published": "as_published: split at random",
    "leak_free": "leak_free: near-duplicates in one part, labels corrected",
}
_CLASSES = {"Type_1": "Type 1", "Type_2": "Type 2", "Type_3": "Type 3"}

Scores = Mapping[str, Measured]
"""One of `SCORES` -> what was measured, in per cent."""


def of_counts(counts: Mapping[Protocol, Mapping[str, Mapping[str, int]]], note: str) -> Table:
    """Table 1: images of each part, all and of each type; `counts` is row -> part -> label -> images."""
    rows: list[Row] = []
    for protocol in PROTOCOLS:
        if protocol not in counts:
            continue
        parts = {part.capitalize(): dict(labels) for part, labels in counts[protocol].items()}
        whole = {label: sum(labels.get(label, 0) for labels in parts.values()) for label in _CLASSES}
        for part, labels in {"All": whole, **parts}.items():
            ours: list[Measured | None] = [{"value": sum(labels.values())}]
            ours += [{"value": labels.get(label, 0)} for label in _CLASSES]
            paper = TABLE_1.get(part) if protocol == "as_published" else None
            rows.append({
                "name": f"{protocol}, {part.lower()}",
                "row": protocol,
                "paper": None if paper is None else [paper, None, None, None],
                "ours": ours,
            })  # fmt: skip
    columns = ["Images", *_CLASSES.values()]
    return {"number": 1, "title": "Number of train and test images", "columns": columns, "rows": rows, "note": note,
            "unit": IMAGES, "spread": ""}  # fmt: skip


def of_rows(found: Mapping[Protocol, Scores], constant: Mapping[Protocol, Scores], note: str) -> Table:
    """Table 2: the test part by every row that was run, and what one answer for all images would reach there."""
    rows: list[Row] = []
    for protocol in PROTOCOLS:
        paper: list[float | None] | None = [*TABLE_2] if protocol == "as_published" else None
        rows.append({"name": NAMES[protocol], "row": protocol, "paper": paper, "ours": _of(found.get(protocol))})
    for protocol, scores in constant.items():
        rows.append({"name": f"Always the commonest type, {protocol}", "row": protocol, "ours": _of(scores)})
    return {"number": 2, "title": "Testing results", "columns": list(SCORES.values()), "rows": rows, "note": note}


def leak(difference: Scores, seen: Scores, unseen: Scores, within: Scores, note: str) -> Table:
    """Not in the paper: by how many points a random split's result is above the leak-free one, and where from."""
    lines = {
        "as_published above leak_free, points": difference,
        "as_published, test images like a training image": seen,
        "as_published, the other test images": unseen,
        "Difference of these two, points": within,
    }
    rows: list[Row] = [{"name": name, "row": "as_published", "ours": _of(scores)} for name, scores in lines.items()]
    return {"number": "Leak", "title": "What a random split adds to the result", "columns": list(SCORES.values()),
            "rows": rows, "note": note}  # fmt: skip


def _of(scores: Scores | None) -> list[Measured | None] | None:
    return None if scores is None else [scores.get(name) for name in SCORES]
