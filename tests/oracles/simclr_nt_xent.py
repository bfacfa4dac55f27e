"""Writes what pytorch-metric-learning's SimCLR loss gives for random batches: `python simclr_nt_xent.py FILE`.

Runs in the environment of `make bench` (build/bench); the tests read the file.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.losses import NTXentLoss

BATCHES = 20


def listed(values):
    return [[round(float(value), 9) for value in row] for row in values]


def batch(rng):
    images, features = int(rng.integers(1, 12)), int(rng.integers(2, 9))
    drawn = np.abs(rng.normal(size=(2 * images, features)))  # as after a ReLU
    unit = np.round(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), 6)
    embeddings = torch.tensor(unit, dtype=torch.float64, requires_grad=True)
    temperature = float(rng.choice([0.07, 0.1, 0.5]))
    value = NTXentLoss(temperature=temperature)(embeddings, torch.arange(images).repeat_interleave(2))
    value.backward()
    return {
        "temperature": temperature,
        "embeddings": listed(unit),
        "value": value.item(),
        "gradient": listed(embeddings.grad),
    }


def main():
    rng = np.random.default_rng(0)
    made_by = f"torch {version('torch')}, pytorch-metric-learning {version('pytorch-metric-learning')}"
    found = {"made_by": made_by, "nt_xent": [batch(rng) for _ in range(BATCHES)]}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
