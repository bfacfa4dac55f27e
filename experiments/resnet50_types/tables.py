"""Ours beside the paper's tables, and the table of the leak; percent but where a unit is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.compare import comparison
from cervix_tf.config import Protocol
from cervix_tf.data.groups import groups_of
from cervix_tf.metrics import classification, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import IMAGES, Measured, Row, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import data
from cervix_tf.study.data import Splits
from experiments.resnet50_types.config import PROTOCOLS, PUBLISHED, PUBLISHED_EPOCH, Config, result_dir
from experiments.resnet50_types.data import described

SCORES = {"accuracy": "Accuracy", "macro_f1": "F1 (macro)"}
NAMES = {
    "as_published": "as_published: split at random",
    "leak_free": "leak_free: near-duplicates in one split, labels corrected",
}
_CLASSES = {"Type_1": "Type 1", "Type_2": "Type 2", "Type_3": "Type 3"}
_UNDEFINED: Measured = {"value": None, "n": 0, "method": "undefined: no such test image"}

Scores = Mapping[str, Measured]
"""One of `SCORES` -> what was measured, in percent."""


def of_run(config: Config, parts: Mapping[Protocol, Splits], out: RunDir) -> list[Table]:
    """The tables that what is finished allows, in the paper's order."""
    note = noted(config)
    results = {protocol: result_dir(config, out, protocol) for protocol in PROTOCOLS}
    finished = {protocol: result for protocol, result in results.items() if result.metrics.exists()}
    predicted = {protocol: predictions.read(result.predictions) for protocol, result in finished.items()}
    made = [
        of_counts(
            {protocol: data.counts(each) for protocol, each in parts.items()}, f"Ours: {described(config).text}."
        ),
        of_rows(
            {protocol: scores(read_json(result.metrics)) for protocol, result in finished.items()},
            {protocol: majority_class(each, config.seed) for protocol, each in predicted.items()},
            note,
        ),
    ]
    if set(PROTOCOLS) <= set(predicted) and "as_published" in parts:
        made.append(leak(config, parts["as_published"], predicted, note))
    return made


def noted(config: Config) -> str:
    """How our numbers were made, in a sentence."""
    start = {"random": "random", "imagenet": "ImageNet"}.get(config.weights, "pre-trained")
    network = {"resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2"}[config.network]
    by = {protocol: config.criterion(protocol) for protocol in PROTOCOLS}
    kept = ", ".join(
        f"{protocol} {config.published_epoch}, as in the paper" if each == PUBLISHED_EPOCH else f"{protocol} by {each}"
        for protocol, each in by.items()
    )
    return (
        f"Ours: {described(config).text}, {network}, {config.images.height} x {config.images.width} pixels, {start} "
        f"initial weights, {config.optimizer.epochs} epochs, epoch kept: {kept}; seed {config.seed}."
    )


def scores(metrics: Mapping[str, Any]) -> dict[str, Measured]:
    """The numbers of Table 2 out of a metrics.json, in percent."""
    return {name: per_cent(metrics["metrics"][name]) for name in SCORES}


def majority_class(predicted: Predictions, seed: int) -> dict[str, Measured]:
    """The scores of predicting the majority class for every image."""
    answers = np.zeros_like(predicted.probabilities)
    answers[:, np.bincount(predicted.labels, minlength=len(predicted.classes)).argmax()] = 1
    always = predictions.from_rows(predicted.table, answers, predicted.classes)
    return scores(classification.summary(always, seed=seed))


def like_training(predicted: Predictions, parts: Splits) -> NDArray[np.bool_]:
    """Which test images, (rows,), have a near-duplicate in the training split."""
    train = parts["train"].rows
    return np.isin(predicted.groups, groups_of(train, "path"))


def difference(one: Predictions, two: Predictions, seed: int) -> dict[str, Measured]:
    """By how many points the scores of `one` are above those of `two`, each one's groups resampled on their own."""
    return {
        score: per_cent(comparison.independent_difference(one, two, score, seed=seed))
        for score in ("accuracy", "macro_f1")
    }


def leak(config: Config, published: Splits, predicted: Mapping[Protocol, Predictions], note: str) -> Table:
    """Not in the paper: what the random split adds, against the leak-free row and on images like training images."""
    whole = predicted["as_published"]
    like = like_training(whole, published)
    seen, unseen = whole.where(like), whole.where(~like)
    nothing = dict.fromkeys(SCORES, _UNDEFINED)

    def of(some: Predictions) -> Scores:
        return scores(classification.summary(some, seed=config.seed)) if len(some) else nothing

    lines = {
        "as_published above leak_free, points": difference(whole, predicted["leak_free"], config.seed),
        "as_published, test images like a training image": of(seen),
        "as_published, the other test images": of(unseen),
        "Difference of these two, points": (
            difference(seen, unseen, config.seed) if like.any() and not like.all() else nothing
        ),
    }
    why = (
        " Like a training image: near-duplicate by perceptual hash, or identical. The two rows' test splits are drawn "
        "independently and share images only by chance, so each one's groups are resampled separately."
    )
    title = "What a random split adds to the result"
    rows = [line(name, "as_published", None, _of(found)) for name, found in lines.items()]
    return table("Leak", title, SCORES.values(), rows, note + why)


def of_counts(counts: Mapping[Protocol, Mapping[str, Mapping[str, int]]], note: str) -> Table:
    """Table 1: images of each split, all and of each type; `counts` is row -> split -> label -> images."""
    rows: list[Row] = []
    for protocol in PROTOCOLS:
        if protocol not in counts:
            continue
        parts = {part.capitalize(): dict(labels) for part, labels in counts[protocol].items()}
        whole = {label: sum(labels.get(label, 0) for labels in parts.values()) for label in _CLASSES}
        for part, labels in {"All": whole, **parts}.items():
            ours: list[Measured | None] = [{"value": sum(labels.values())}]
            ours += [{"value": labels.get(label, 0)} for label in _CLASSES]
            paper = PUBLISHED.table_1.get(part) if protocol == "as_published" else None
            theirs = None if paper is None else [paper, None, None, None]
            rows.append(line(f"{protocol}, {part.lower()}", protocol, theirs, ours))
    columns = ["Images", *_CLASSES.values()]
    return table(1, "Number of train and test images", columns, rows, note, unit=IMAGES, spread="")


def of_rows(found: Mapping[Protocol, Scores], constant: Mapping[Protocol, Scores], note: str) -> Table:
    """Table 2: the test split by every row that was run, and what one answer for all images would reach there."""
    rows = [
        line(NAMES[each], each, PUBLISHED.table_2 if each == "as_published" else None, _of(found.get(each)))
        for each in PROTOCOLS
    ]
    rows += [line(f"Always the majority class, {each}", each, None, _of(scores)) for each, scores in constant.items()]
    return table(2, "Testing results", SCORES.values(), rows, note)


def _of(scores: Scores | None) -> list[Measured | None] | None:
    return None if scores is None else [scores.get(name) for name in SCORES]
