"""The cases that a page shows: the most confident right and wrong ones, and the least certain, with images."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf.data.inputs import kind
from cervix_tf.run_dir import RunDir

if TYPE_CHECKING:
    import pandas as pd

    from cervix_tf.data.manifest import Manifest
    from cervix_tf.metrics.predictions import Predictions

MOST_CASES = 4
"""Cases a section."""
MOST_IMAGES = 12
"""Images a case: more would make the page heavy."""
_SIDE, _HEAT_MAP_SIDE = 240, 1100


@dataclass(frozen=True)
class Thumbnail:
    """One small image of a case."""

    view: str
    source: str
    """`data:` URI; empty where the image cannot be shown."""
    alt: str


@dataclass(frozen=True)
class Case:
    """One case as the page shows it."""

    id: str
    label: str
    """True class; empty = unlabeled."""
    prediction: str
    probabilities: list[tuple[str, float]]
    images: list[Thumbnail]
    left_out: int
    """Images of the case beyond `MOST_IMAGES`."""
    heat_map: str
    """`data:` URI; empty where the run drew none."""


def chosen(predictions: Predictions, most: int = MOST_CASES) -> dict[str, list[int]]:
    """Rows to show under each heading; no row stands under two.

    Right ones: the most confident of each class. Wrong ones: those that gave their prediction the
    highest probability. Uncertain ones: the smallest gap between the two likeliest classes.
    """
    import numpy as np

    probabilities, labels, decisions = predictions.probabilities, predictions.labels, predictions.decisions
    sureness = probabilities.max(axis=1)
    order = np.argsort(-sureness, kind="stable")
    right: dict[int, int] = {}
    for row in order:
        if labels[row] == decisions[row]:
            right.setdefault(int(labels[row]), int(row))
    confident = sorted(right.values(), key=lambda row: -sureness[row])[:most]
    wrong = [int(row) for row in order if labels[row] >= 0 and labels[row] != decisions[row]][:most]
    two = np.sort(probabilities, axis=1)[:, -2:]
    gaps = np.argsort(two[:, 1] - two[:, 0], kind="stable")
    uncertain = [int(row) for row in gaps if row not in confident and row not in wrong][:most]
    return {
        "Correct and most confident: the clearest case of each class": confident,
        "Wrong and most confident: look at these first": wrong,
        "Least certain: the two likeliest classes are closest": uncertain,
    }


def described(
    predictions: Predictions, row: int, manifest: Manifest | None, views: Sequence[str], run: RunDir | None
) -> Case:
    """The case in `row` with thumbnails of its images, in the order of `views`, and its heat map if any.

    No thumbnails without a manifest, no heat map without a run.
    """
    entry = predictions.table.iloc[row]
    images = [] if manifest is None else _images(manifest, str(entry["id"]), str(entry["case"]), views)
    thumbnails = [
        Thumbnail(view, thumbnail(path, _SIDE), f"{view or 'image'} of {entry['id']}")
        for view, path in images[:MOST_IMAGES]
    ]
    return Case(
        id=str(entry["id"]),
        label=str(entry["label"]),
        prediction=predictions.classes[int(predictions.decisions[row])],
        probabilities=[
            (name, float(predictions.probabilities[row, at])) for at, name in enumerate(predictions.classes)
        ],
        images=thumbnails,
        left_out=max(0, len(images) - MOST_IMAGES),
        heat_map="" if run is None else thumbnail(run.heat_map(str(entry["id"])), _HEAT_MAP_SIDE),
    )


def thumbnail(path: Path, side: int) -> str:
    """A JPEG of the image with its longer side at most `side` pixels, as a `data:` URI.

    Empty if it cannot be read. Upright, as the networks see it.
    """
    import cv2

    from cervix_tf.data import images

    try:
        image = images.decode_file(path)[..., ::-1]
    except images.UnreadableImage:
        return ""
    scale = min(1.0, side / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def _images(manifest: Manifest, id: str, case: str, views: Sequence[str]) -> list[tuple[str, Path]]:
    """View and file of the images that the row was predicted from."""
    rows = manifest.rows
    single = rows[rows["path"] == id]
    found: pd.DataFrame = single if len(single) else rows[(rows["case"] == (case or id)) & (rows["case"] != "")]
    kinds = list(dict.fromkeys(kind(view) for view in views))
    if kinds and not len(single):
        found = found[found["view"].map(kind).isin(kinds)]
    listed = [(str(view), manifest.root / path) for view, path in zip(found["view"], found["path"], strict=True)]
    return sorted(listed, key=lambda image: kinds.index(kind(image[0])) if kind(image[0]) in kinds else len(kinds))
