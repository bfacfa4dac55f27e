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


def net_benefit(true: Array, false: Array, threshold: float) -> Array:
    """Shares of true minus false positives among all patients, the latter weighed by the odds of `threshold`, (...).

    Treating everyone makes them the prevalence and the rest; treating no one has the net benefit 0.

    Source: Vickers and Elkin, Medical Decision Making 26, 2006.
    """
    return true - false * threshold / (1 - threshold)


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
        ill, well = (weights @ truth)[:, None], (weights @ ~truth)[:, None]
        true, false = weights @ (called & truth[:, None]), weights @ (called & ~truth[:, None])
        if prevalence is None:
            share, true, false = (ratio(each, ill + well) for each in (ill, true, false))
        else:
            share, true, false = np.full_like(ill, prevalence), ratio(true, ill), ratio(false, well)
            true, false = true * prevalence, false * (1 - prevalence)
        found: dict[tuple[int, str], Array] = {}
        for at, threshold in enumerate(thresholds):
            model = net_benefit(true[:, at], false[:, at], threshold)
            everyone = net_benefit(share[:, 0], 1 - share[:, 0], threshold)
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
