"""Loss value and gradient of 4,096 embeddings of 128 features: ours beside pytorch-metric-learning.

    python tests/benchmarks/metric_losses.py

Needs the extra `[bench]`, and Linux for the memory. Each library runs in a process of its
own, step by step in turn, with all the cores it takes by default. Memory is what the
process's peak rises above its size before the first large step. The losses are the same
(the values are compared), but for N-pair: pytorch-metric-learning leaves out the other
anchors, half of Eq. 2's terms. For contrastive pairs it computes all 4,096 x 4,096
distances, of which the given pairs are 2,048.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, FEATURES, CLASSES, STEPS = 4096, 128, 2, 9
LIBRARIES = ("cervix_tf", "pytorch-metric-learning")
LOSSES = {"batch-hard": True, "contrastive": True, "N-pair": False}
"""Whether both libraries compute the same value."""

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
    """A step of pytorch-metric-learning; embeddings are unit length, so its normalisation is off."""
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


def memory(name: str) -> float:
    """VmRSS or VmHWM of this process, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


def serve(library: str, loss: str) -> None:
    """Take a step for every line of standard input; answer with seconds, value and the peak of memory so far."""
    make = ours if library == LIBRARIES[0] else theirs
    warm = make(loss, 64)  # loads kernels and starts threads
    for _ in range(3):
        warm()
    step = make(loss, ROWS)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    for _ in sys.stdin:
        started = time.perf_counter()
        value, _gradient = step()
        answer = {"seconds": time.perf_counter() - started, "value": value, "mib": memory("VmHWM") - before}
        print("answer", json.dumps(answer), flush=True)


def measured(loss: str) -> dict[str, dict[str, float]]:
    """Median seconds, value and MiB of each library, the first step left out."""
    processes = {}
    for library in LIBRARIES:
        processes[library] = subprocess.Popen(
            [sys.executable, __file__, library, loss],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    answers: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    for _ in range(STEPS + 1):
        for library, process in processes.items():
            assert process.stdin and process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            line = ""
            while not line.startswith("answer"):
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"{library} ended with {process.wait()}; run `{sys.executable} {__file__} "
                                     f"{library} {loss} <<< ''` to see why")  # fmt: skip
            answers[library].append(json.loads(line.removeprefix("answer")))
    for process in processes.values():
        process.communicate()
    return {
        library: {
            "seconds": statistics.median(answer["seconds"] for answer in found[1:]),
            "value": found[-1]["value"],
            "mib": found[-1]["mib"],
        }
        for library, found in answers.items()
    }


def main() -> None:
    """Print the table."""
    print(f"{ROWS} x {FEATURES} float32, value and gradient, CPU, {os.cpu_count()} cores, medians of {STEPS} steps\n")
    print("| loss | ours, ms | pytorch-metric-learning, ms | ours / theirs | ours, MiB | theirs, MiB |")
    print("|---|---|---|---|---|---|")
    for loss, same in LOSSES.items():
        found = measured(loss)
        mine, peer = (found[library] for library in LIBRARIES)
        if same and abs(mine["value"] / peer["value"] - 1) > 1e-4:
            raise SystemExit(f"{loss}: {mine['value']} is not {peer['value']}: these are different losses")
        print(
            f"| {loss} | {1000 * mine['seconds']:.1f} | {1000 * peer['seconds']:.1f} "
            f"| {mine['seconds'] / peer['seconds']:.2f} | {mine['mib']:.0f} | {peer['mib']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    serve(*sys.argv[1:]) if len(sys.argv) > 1 else main()
