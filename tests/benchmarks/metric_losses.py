"""Loss value and gradient of 4,096 embeddings of 128 features, beside pytorch-metric-learning.

The losses are the same (the values are compared first), but for N-pair: the peer leaves
out the other anchors, half of Eq. 2's terms. For contrastive pairs the peer computes all
4,096 x 4,096 distances, of which the given pairs are 2,048.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from row import Measure, Row

ROWS_OF_BATCH, FEATURES, CLASSES = 4096, 128, 2

Step = Callable[[], tuple[float, Any]]


def batch(name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (rows,) and unit-length embeddings (rows, features)."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(rows, FEATURES))
    labels = np.repeat(np.arange(rows // 2), 2) if name == "N-pair" else rng.permutation(np.arange(rows) % CLASSES)
    return labels, (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")


def ours(name: str, rows: int) -> Step:
    """A step of this library, compiled as in training."""
    import tensorflow as tf

    from cervix_tf.losses.batch_hard import BatchHard
    from cervix_tf.losses.contrastive import Contrastive
    from cervix_tf.losses.n_pair import NPair

    kinds = {"batch-hard": BatchHard, "contrastive": Contrastive, "N-pair": NPair}
    loss = kinds[name](reduction="sum")
    labels, embeddings = map(tf.constant, batch(name, rows))

    @tf.function
    def compiled(labels: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        return value, tf.convert_to_tensor(tape.gradient(value, embeddings))

    def step() -> tuple[float, Any]:
        value, gradient = compiled(labels, embeddings)
        return float(value), gradient.numpy()

    return step


def theirs(name: str, rows: int) -> Step:
    """A step of pytorch-metric-learning; embeddings are unit length, so its normalization is off."""
    import torch
    from pytorch_metric_learning import distances, losses, miners, reducers

    labels, embeddings = (torch.tensor(array) for array in batch(name, rows))
    euclidean = distances.LpDistance(normalize_embeddings=False)
    total = reducers.SumReducer()
    if name == "batch-hard":
        miner = miners.BatchHardMiner(distance=euclidean)
        triplet = losses.TripletMarginLoss(margin=0.25, distance=euclidean, reducer=total)

        def value(x: Any) -> Any:
            return triplet(x, labels, miner(x, labels))

    elif name == "contrastive":
        pairs = losses.ContrastiveLoss(pos_margin=0, neg_margin=0.25, distance=euclidean, reducer=total)
        first, same = torch.arange(0, rows, 2), labels[::2] == labels[1::2]
        indices = (first[same], first[same] + 1, first[~same], first[~same] + 1)

        def value(x: Any) -> Any:
            return pairs(x, labels, indices)

    else:
        dot = distances.DotProductSimilarity(normalize_embeddings=False)
        n_pairs = losses.NPairsLoss(distance=dot, reducer=total)

        def value(x: Any) -> Any:
            return n_pairs(x, labels)

    def step() -> tuple[float, Any]:
        x = embeddings.clone().requires_grad_(True)
        loss = value(x)
        loss.backward()
        return float(loss.detach()), x.grad

    return step


def same_value(name: str) -> None:
    """Compare the two libraries' losses of one batch."""
    mine, peer = ours(name, 256)()[0], theirs(name, 256)()[0]
    if abs(mine / peer - 1) > 1e-4:
        raise SystemExit(f"{name}: {mine} is not {peer}: these are different losses")


def milliseconds(make: Callable[[str, int], Step], name: str) -> Measure:
    """Time of one step."""
    step = make(name, ROWS_OF_BATCH)
    for _ in range(2):
        step()

    def measure() -> float:
        started = time.perf_counter()
        step()
        return 1000 * (time.perf_counter() - started)

    return measure


def peak(make: Callable[[str, int], Step], name: str) -> Measure:
    """What two steps add to a process whose framework is loaded and warm, at most."""
    small = make(name, 64)  # loads kernels, starts threads
    for _ in range(3):
        small()

    def measure() -> float:
        step = make(name, ROWS_OF_BATCH)
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        for _ in range(2):
            step()
        return _status("VmHWM") - before

    return measure


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _rows(title: str, name: str, same: bool, target: str) -> list[Row]:
    libraries = {"ours": ours, "pytorch-metric-learning": theirs}

    def cases(measure: Callable[..., Measure]) -> dict[str, Callable[..., Any]]:
        return {library: functools.partial(measure, make, name) for library, make in libraries.items()}

    check = {"prepare": functools.partial(same_value, name)} if same else {}
    what = f"{title}, value and gradient of {ROWS_OF_BATCH} x {FEATURES}"
    return [
        Row(what, "ms", cases(milliseconds), more_is_better=False, target=target, rounds=9, **check),
        Row(f"{what}, peak memory", "MB", cases(peak), more_is_better=False, rounds=1),
    ]


ROWS = [
    *_rows("Batch-hard loss", "batch-hard", True, "<= 1.2"),
    *_rows("Contrastive loss", "contrastive", True, "<= 1.2"),
    *_rows("N-pair loss (the peer's has half the terms)", "N-pair", False, "<= 1.2"),
]
