"""Writes what dcurves and crepes give for random scores: `python decisions.py FILE`.

Runs in an environment of its own (`pip install dcurves==1.1.7 crepes==0.9.1`); the tests read the file.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from crepes import ConformalClassifier
from crepes.extras import hinge
from dcurves import dca

THRESHOLDS = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7]


def net_benefit(generator):
    truth = (generator.random(200) < 0.3).astype(int)
    score = np.clip(np.round(0.25 + 0.3 * truth + generator.normal(0, 0.18, 200), 3), 0, 1)
    table = pd.DataFrame({"y": truth, "p": score})
    found = {}
    for name, given in (("of the rows", {}), ("0.05", {"prevalence": 0.05})):
        points = dca(data=table, outcome="y", modelnames=["p"], thresholds=np.array(THRESHOLDS), **given)
        found[name] = {
            model: points[points.model == model].sort_values("threshold").net_benefit.tolist() for model in ("p", "all")
        }
    return {"truth": truth.tolist(), "score": score.tolist(), "thresholds": THRESHOLDS, "net_benefit": found}


def conformal(generator):
    labels, logits = generator.integers(0, 3, 120), generator.normal(0, 1, (120, 3))
    logits += 1.5 * np.eye(3)[labels]
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    alphas, scores = hinge(rows[:80], np.arange(3), labels[:80]), hinge(rows[80:])
    whole = ConformalClassifier().fit(alphas).predict_p(scores, smoothing=False)
    of_class = ConformalClassifier().fit(alphas, labels[:80])
    by_class = [of_class.predict_p(scores, bins=np.full(40, k), smoothing=False)[:, k] for k in range(3)]
    return {
        "calibration": rows[:80].tolist(),
        "labels": labels[:80].tolist(),
        "test": rows[80:].tolist(),
        "p_values": {"whole": whole.tolist(), "by_class": np.stack(by_class, 1).tolist()},
    }


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    found = {
        "made_by": {name: version(name) for name in ("dcurves", "crepes")},
        "net_benefit": net_benefit(generator),
        "conformal": conformal(generator),
    }
    Path(sys.argv[1]).write_text(json.dumps(found) + "\n")
