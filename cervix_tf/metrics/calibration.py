"""Whether probabilities mean what they say: Brier score, log loss, calibration error, slope and reliability bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cervix_tf.metrics import intervals
from cervix_tf.metrics.confusion import ratio
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]
BINS = 15
_LEAST = 1e-12
_TOLERANCE = 1e-9


def brier(probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """Each row's squared distance to the truth, (rows,): in [0, 2], halved to [0, 1] for two classes.

    Source: Brier 1950; halved for two classes as scikit-learn does.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities - truth) ** 2).sum(1) / (2 if probabilities.shape[1] == 2 else 1)


def log_loss(probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """Each row's -log(probability of its true class), (rows,), in nats; below 2.2e-16 counts as that."""
    true = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(true, np.finfo(np.float64).eps, 1.0))


def bin_of(confidence: Array, bins: int = BINS) -> NDArray[np.int64]:
    """Index of the bin (k / bins, (k + 1) / bins] of each probability; 0 falls into the first."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)


def expected_calibration_error(
    confidence: Array, correct: NDArray[np.bool_], weights: Array, bins: int = BINS
) -> Array:
    """Mean distance of confidence and accuracy over the bins, weighted by their rows, (draws,).

    `confidence`, `correct`: (rows,); `weights`: (draws, rows).

    Source: Guo et al. 2017, eq. 3, with 15 bins of equal width.
    """
    member, apart = bin_of(confidence, bins), correct - confidence
    return np.abs([np.bincount(member, row * apart, bins) for row in weights]).sum(1) / weights.sum(1)


def reliability(
    confidence: Array,
    correct: NDArray[np.bool_],
    groups: NDArray[np.object_],
    bins: int = BINS,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> list[dict[str, Any]]:
    """One entry a bin that holds rows: low, high, n, mean confidence, accuracy, its interval and the method.

    `confidence`, `correct` and `groups` are (rows,). Intervals are Wilson's where each row of a bin is a group of its
    own, else by resampling groups; low and high are None where a bin has none.
    """
    member = bin_of(confidence, bins)
    there, hits = np.unique(member), correct.astype(np.float64)
    held = (member[:, None] == there).astype(np.float64)
    alone = len(set(groups)) == len(groups)

    def statistics(weights: Array) -> dict[int, Array]:
        shares = ratio(weights @ (held * hits[:, None]), weights @ held)
        return dict(enumerate(shares.T))

    draws = {} if alone else intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed)
    entries = []
    for place, at in enumerate(there.tolist()):
        inside = member == at
        share = intervals.share(correct[inside], groups[inside], draws.get(place, np.empty(0)), intervals.wilson)
        entries.append(
            {
                "low": round(at / bins, 6),
                "high": round((at + 1) / bins, 6),
                "n": share.n,
                "confidence": float(confidence[inside].mean()),
                "accuracy": share.value,
                "accuracy_low": share.low,
                "accuracy_high": share.high,
                "method": share.method,
            }
        )
    return entries


def measured(
    predictions: Predictions, positive: Sequence[str] = (), *, seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """How well the labeled rows' probabilities are calibrated: {of, metrics}, each {value, low, high, n, method}.

    `of` is whose probability it is: of being one of `positive`, or, without those, of the most probable class to be
    right. Expected calibration error and log loss are those of the classes; the rest is of that one probability:
    slope (below 1: too extreme) and intercept (above 0: too low), and the Brier score with its parts, miscalibration -
    discrimination + uncertainty. Miscalibration and its intervals are above 0 by chance alone where rows are few.

    Source: slope and intercept: Van Calster et al., J Clin Epidemiol 74, 2016; parts of the Brier score: Dimitriadis,
    Gneiting and Jordan, PNAS 118, 2021.
    """
    known = predictions.where(predictions.labels >= 0)
    confidence, right = known.probabilities.max(axis=1), known.decisions == known.labels
    score, event = confidence, right
    if positive:
        event, _, score = known.positive(positive)
    each_loss = log_loss(known.probabilities, known.labels)
    start = logistic(score, event, np.ones((1, len(known))), steps=50)

    def statistics(weights: Array) -> dict[str, Array]:
        total = weights.sum(axis=1)
        slope, intercept = logistic(score, event, weights, start=start)
        return {
            "expected_calibration_error": expected_calibration_error(confidence, right, weights),
            "log_loss": weights @ each_loss / total,
            "calibration_slope": slope,
            "calibration_intercept": intercept,
            **brier_parts(score, event, weights),
        }

    values = statistics(np.ones((1, len(known))))
    draws = intervals.cluster_bootstrap(known.groups, statistics, resamples=resamples, seed=seed)
    units = len(set(known.groups))
    found = {}
    for name, value in values.items():
        reason = "the probability separates the rows, or never varies"
        interval = (
            intervals.undefined(reason, len(known))
            if np.isnan(value[0])
            else intervals.percentile(float(value[0]), draws[name], len(known), units, len(known))
        )
        found[name] = asdict(interval)
    return {"of": " or ".join(positive) or "most probable class", "metrics": found}


def logistic(
    score: Array,
    event: NDArray[np.bool_],
    weights: Array,
    *,
    start: tuple[Array, Array] | None = None,
    steps: int = 8,
) -> tuple[Array, Array]:
    """Calibration slope and intercept of a probability, (draws,) each, by logistic regression on its log-odds.

    The intercept is that at a slope of 1: calibration in the large. `score` and `event` are (rows,), `weights`
    (draws, rows). Newton's method from `start`, the estimates of all rows; NaN where it does not converge.
    """
    odds = np.log(np.clip(score, _LEAST, None)) - np.log(np.clip(1 - score, _LEAST, None))
    y = event.astype(np.float64)
    parts = [_newton(odds, y, part, start, steps) for part in intervals.parts(weights)]
    slope, intercept = np.concatenate(parts, axis=1)
    return slope, intercept


def _newton(odds: Array, y: Array, weights: Array, start: tuple[Array, Array] | None, steps: int) -> Array:
    """Slope and intercept of each draw, (2, draws)."""
    draws = len(weights)
    slope = np.zeros(draws) if start is None else np.repeat(start[0], draws)  # from 0 Newton's method seldom strays
    beside, intercept = np.zeros(draws), np.zeros(draws) if start is None else np.repeat(start[1], draws)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            p = special.expit(beside[:, None] + slope[:, None] * odds)
            error, curve = weights * (y - p), weights * p * (1 - p)
            a, b, c = curve.sum(axis=1), curve @ odds, curve @ odds**2
            g0, g1, det = error.sum(axis=1), error @ odds, a * c - b * b
            step = ratio(a * g1 - b * g0, det)
            shift = ratio(c * g0 - b * g1, det)
            beside, slope = beside + shift, slope + step
            p = special.expit(intercept[:, None] + odds)
            move = ratio((weights * (y - p)).sum(axis=1), (weights * p * (1 - p)).sum(axis=1))
            intercept = intercept + np.clip(move, -2, 2)
            # Near the optimum each step squares the error: the next one would change no digit.
            if not (np.abs([step, shift, move]) > _TOLERANCE).any():
                break
    one_side = (weights @ y == 0) | (weights @ (1 - y) == 0)
    separated = a < 1e-9 * weights.sum(axis=1)  # every row is called with certainty: the slope has no end
    lost = one_side | separated | ~(np.abs(step) < 1e-4 * (1 + np.abs(slope)))
    return np.stack([np.where(lost, np.nan, slope), np.where(one_side | ~(np.abs(move) < 1e-4), np.nan, intercept)])


def brier_parts(score: Array, event: NDArray[np.bool_], weights: Array) -> dict[str, Array]:
    """Brier score of a probability and its parts, (draws,) each: miscalibration - discrimination + uncertainty.

    Miscalibration is what the best rising recalibration (isotonic regression) would gain, discrimination what that is
    better than saying the share of events each time. `score` and `event` are (rows,), `weights` (draws, rows).

    Source: Dimitriadis, Gneiting and Jordan, PNAS 118, 2021.
    """
    from scipy.optimize import isotonic_regression

    values, member = np.unique(score, return_inverse=True)
    y = event.astype(np.float64)
    total = weights.sum(axis=1)
    whole = weights @ (score - y) ** 2 / total
    share = weights @ y / total
    uncertainty = share * (1 - share)
    best = np.empty(len(weights))
    for at, row in enumerate(weights):
        rows, events = np.bincount(member, row, len(values)), np.bincount(member, row * y, len(values))
        there = rows > 0
        rows, events = rows[there], events[there]
        fit = isotonic_regression(events / rows, weights=rows).x
        best[at] = (rows * fit**2 - 2 * events * fit + events).sum() / total[at]
    return {
        "brier": whole,
        "miscalibration": whole - best,
        "discrimination": uncertainty - best,
        "uncertainty": uncertainty,
    }
