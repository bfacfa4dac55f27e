"""Whether acting on a model's probability does more good than treating everyone or no one: decision curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import intervals
from cervix_tf.metrics.confusion import ratio
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 19))


def net_benefit(sensitivity: Array, specificity: Array, prevalence: Array, threshold: float) -> Array:
    """True positives minus false positives weighed by the odds of `threshold`, a patient, (...).

    Treating everyone has sensitivity 1 and specificity 0, treating no one has the net benefit 0.

    Source: Vickers and Elkin, Medical Decision Making 26, 2006.
    """
    false = (1 - specificity) * (1 - prevalence)
    return sensitivity * prevalence - false * threshold / (1 - threshold)


def curve(
    predictions: Predictions,
    *,
    positive: Sequence[str],
    prevalence: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 0,
    resamples: int = 2000,
) -> list[dict[str, Any]]:
    """Net benefit at each threshold, in (0, 1): {threshold, model, treat_all, gain}, each but the first measured.

    A row is treated whose positive classes have at least the threshold's probability together. `gain` is how far the
    model is above the better of treating all and treating none; its interval resamples groups. `prevalence` is that of
    the patients it is for, by default that of the labeled rows; each resample has its own then.
    """
    known = predictions.where(predictions.labels >= 0)
    truth, _, score = known.positive(positive)
    called = score[:, None] >= np.asarray(thresholds)[None, :]

    def statistics(weights: Array) -> dict[tuple[int, str], Array]:
        ill, well = weights @ truth, weights @ ~truth
        share = ratio(ill, ill + well) if prevalence is None else np.full(len(weights), prevalence)
        sensitivity = ratio(weights @ (called & truth[:, None]), ill[:, None])
        specificity = ratio(weights @ (~called & ~truth[:, None]), well[:, None])
        found: dict[tuple[int, str], Array] = {}
        for at, threshold in enumerate(thresholds):
            model = net_benefit(sensitivity[:, at], specificity[:, at], share, threshold)
            everyone = net_benefit(np.ones_like(share), np.zeros_like(share), share, threshold)
            found |= {
                (at, "model"): model,
                (at, "treat_all"): everyone,
                (at, "gain"): model - np.maximum(everyone, 0),
            }
        return found

    values = statistics(np.ones((1, len(known))))
    draws = intervals.cluster_bootstrap(known.groups, statistics, resamples=resamples, seed=seed)
    units = len(set(known.groups))
    points: list[dict[str, Any]] = [{"threshold": float(each)} for each in thresholds]
    for (at, name), value in values.items():
        one = float(value[0])
        points[at][name] = asdict(
            intervals.undefined("no row of one side", len(known))
            if np.isnan(one)
            else intervals.percentile(one, draws[at, name], len(known), units, len(known))
        )
    return points
