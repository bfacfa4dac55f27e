"""How far a class, or a group of classes, is ahead of its strongest rival, and the ROC curve of moving that line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cervix_tf.metrics import intervals, operating_points, roc
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]


def margins(probabilities: ArrayLike, positive: Sequence[int]) -> Array:
    """The likeliest of the `positive` classes minus the likeliest of the others, (rows,), in [-1, 1].

    `probabilities` is (rows, classes). Above 0 the prediction is one of `positive`, below 0 it is not.

    Source: Buiu et al. 2020, sec. 4.2.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    inside = np.isin(np.arange(values.shape[1]), positive)
    return values[:, inside].max(axis=1) - values[:, ~inside].max(axis=1)


def rates(margin: ArrayLike, truth: ArrayLike, threshold: float) -> tuple[float, float]:
    """False and true positive rate of calling positive the rows whose margin is above `threshold`, in [-1, 1].

    At -1 every row is positive, at 1 none, at 0 the predictions are unchanged. NaN for a side without rows.

    Raises `ValueError` for another threshold.

    Source: Buiu et al. 2020, sec. 4.2.
    """
    yes, positive = called(margin, threshold), np.asarray(truth, dtype=bool)
    shares = [yes[side].mean() if side.any() else np.nan for side in (~positive, positive)]
    return float(shares[0]), float(shares[1])


def called(margin: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Whether each row is positive: its margin is above `threshold`, in [-1, 1]; at -1 every row is, at 1 none.

    Raises `ValueError` for another threshold.

    Source: Buiu et al. 2020, sec. 4.2.
    """
    if not -1.0 <= threshold <= 1.0:
        raise ValueError(f"a threshold of a margin lies in [-1, 1], not at {threshold}")
    values = np.asarray(margin, dtype=np.float64)
    return (values > threshold) | (threshold == -1.0)  # a margin of -1 itself is not above -1


def at_threshold(
    predictions: Predictions,
    threshold: float,
    *,
    positive: Sequence[str],
    prevalence: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """How good it is to call positive the rows whose margin is above `threshold`: {threshold, metrics}.

    `metrics` is what `cervix_tf.metrics.operating_points.measured` gives, at `prevalence` where there is one.
    """
    margin = margins(predictions.probabilities, [predictions.classes.index(name) for name in positive])
    yes = called(margin, threshold)
    found = operating_points.measured(
        predictions, yes, positive=positive, prevalence=prevalence, seed=seed, resamples=resamples
    )
    return {"threshold": threshold, "metrics": found}


def summary(
    predictions: Predictions, *, positive: Sequence[str], seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """Margin ROC of each class against the rest, and of the `positive` classes together, under "binary".

    Each has `auc` {value, low, high, n, method}, `curve` {fpr, tpr} and `prediction`, the
    curve's point at threshold 0, which is that of the confusion matrix. Unlabeled rows are left out.

    Source: Buiu et al. 2020, sec. 4.2, Fig. 6 and 7.
    """
    known = predictions.where(predictions.labels >= 0)
    sides = {name: [at] for at, name in enumerate(known.classes)}
    sides["binary"] = [known.classes.index(name) for name in positive]
    margin = {name: margins(known.probabilities, side) for name, side in sides.items()}
    truth = {name: np.isin(known.labels, side) for name, side in sides.items()}

    rankings = {name: roc.Ranking(margin[name], truth[name]) for name in sides}

    def areas(weights: Array) -> dict[str, Array]:
        return {name: ranking.auc(weights) for name, ranking in rankings.items()}

    values = areas(np.ones((1, len(known))))
    draws = intervals.cluster_bootstrap(known.groups, areas, resamples=resamples, seed=seed)
    units = len(set(known.groups))
    found = {}
    for name in sides:
        value = float(values[name][0])
        area = (
            intervals.undefined("no row of one side", len(known))
            if np.isnan(value)
            else intervals.percentile(value, draws[name], len(known), units, len(known))
        )
        point = None if np.isnan(value) else list(rates(margin[name], truth[name], 0.0))
        found[name] = {"auc": asdict(area), "curve": roc.curve(margin[name], truth[name]), "prediction": point}
    return {"per_class": {name: found[name] for name in known.classes}, "binary": found["binary"]}
