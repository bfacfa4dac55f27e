"""Writes what tensorflow-addons' metric losses give for random batches: `python tensorflow_addons_losses.py FILE`.

Runs in the environment of requirements.txt (`make oracle`); the tests read the file.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

BATCHES = 20
MARGIN = 0.25


def unit(rng, rows, features):
    drawn = rng.normal(size=(rows, features))
    return np.round(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), 6).astype("float32")


def listed(values):
    return [[round(float(value), 9) for value in row] for row in np.atleast_2d(values)]


def triplet_hard(rng):
    rows = int(rng.integers(6, 20))
    labels = rng.permutation(np.arange(rows) % int(rng.integers(2, 4)))
    embeddings = tf.constant(unit(rng, rows, int(rng.integers(2, 7))))
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = tfa.losses.triplet_hard_loss(labels, embeddings, margin=MARGIN, distance_metric="L2")
    return {
        "labels": labels.tolist(),
        "embeddings": listed(embeddings),
        "value": float(value),
        "gradient": listed(tape.gradient(value, embeddings)),
    }


def contrastive(rng):
    pairs, features = int(rng.integers(2, 12)), int(rng.integers(2, 7))
    first, second, same = unit(rng, pairs, features), unit(rng, pairs, features), rng.integers(0, 2, pairs)
    distances = tf.linalg.norm(first - second, axis=1)
    values = tfa.losses.contrastive_loss(same, distances, margin=1.0)
    return {"first": listed(first), "second": listed(second), "same": same.tolist(), "values": listed(values)[0]}


def npairs(rng):
    pairs, features = int(rng.integers(1, 8)), int(rng.integers(2, 7))
    anchors, positives = unit(rng, pairs, features), unit(rng, pairs, features)
    value = tfa.losses.npairs_loss(np.arange(pairs), tf.matmul(anchors, positives, transpose_b=True))
    return {"anchors": listed(anchors), "positives": listed(positives), "value": float(value)}


def main():
    rng = np.random.default_rng(0)
    found = {
        "made_by": f"tensorflow {tf.__version__}, tensorflow-addons {tfa.__version__}, numpy {np.__version__}",
        "margin": MARGIN,
        "contrastive_margin": 1.0,
    }
    for loss in (triplet_hard, contrastive, npairs):
        found[loss.__name__] = [loss(rng) for _ in range(BATCHES)]
    Path(sys.argv[1]).write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
