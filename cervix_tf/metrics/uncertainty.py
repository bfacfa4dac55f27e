"""Which measure of uncertainty defers the right cases: one network's, or that of several answers to the same input.

Several answers come from networks of other seeds, from one network with dropout left on, or from flipped and turned
images; each is a member. A measure is good where the rows it is sure of are decided rightly, whatever its scale: so all
are compared by the risk-coverage curve, the error of the rows that are kept against the share that is kept.

Source: members: Lakshminarayanan et al., NeurIPS 2017 (ensembles); Gal and Ghahramani, ICML 2016 (dropout); Wang et
al., Neurocomputing 338, 2019 (turned images). Deferral of patients by them: Leibig et al., Scientific Reports 7, 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.metrics import conformal, intervals, multiplicity, roc
from cervix_tf.metrics.confusion import ratio
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]
SINGLE = "single"
"""The method of one answer: the model as it is used."""
REFERENCE = "max_probability"
"""The measure that every other is compared with, that of the single answer."""
DEFERRED = tuple(step / 20 for step in range(11))
"""Shares at which a curve has a point, 0 to 0.5."""


def measures(members: Array) -> dict[str, Array]:
    """How unsure each row is, (rows,), by each measure; `members` are (members, rows, classes) probabilities.

    | measure | of the members' mean p and each member's q |
    |---|---|
    | max_probability | 1 - max p |
    | entropy | H(p) = - sum p log p, nats: all doubt |
    | mutual_information | H(p) - mean H(q), nats: how far members disagree |
    | variance | variance of q over the members, summed over the classes |

    The last two are of two members or more.

    Source: mutual information: Houlsby et al., arXiv:1112.5745 (BALD); Gal, thesis, Cambridge 2016, sec. 3.3.
    """
    mean = members.mean(0)
    entropy = _entropy(mean)
    found = {REFERENCE: 1 - mean.max(-1), "entropy": entropy}
    if len(members) > 1:
        found["mutual_information"] = (entropy - _entropy(members).mean(0)).clip(0)  # rounding may leave it below
        found["variance"] = members.var(0).sum(-1)
    return found


def _entropy(probabilities: Array) -> Array:
    from scipy.special import entr

    return entr(probabilities).sum(-1)


def aurc(doubt: Array, wrong: NDArray[np.bool_], weights: Array) -> Array:
    """Area under the risk-coverage curve, (draws,): mean over the rows of the error among those at most as doubtful.

    `doubt` and `wrong` are (rows,), `weights` (draws, rows). 0 where nothing is wrong, the error rate where doubt says
    nothing. Rows of equal doubt are kept or deferred together.

    Source: Geifman and El-Yaniv, NeurIPS 2017; the area: Geifman, Uziel and El-Yaniv, ICLR 2019.
    """
    errors, right = roc.ranked(doubt, wrong, weights)
    step = errors + right
    risk = ratio(errors.cumsum(1), step.cumsum(1))
    return (step * np.nan_to_num(risk)).sum(1) / step.sum(1)


def least_aurc(error: Array) -> Array:
    """The area of whoever makes this share of errors and is less sure of each than of any right answer, (draws,).

    Source: Geifman, Uziel and El-Yaniv, ICLR 2019.
    """
    from scipy.special import xlogy

    return error + xlogy(1 - error, 1 - error)


def summary(methods: Mapping[str, Sequence[Predictions]], *, seed: int = 0, resamples: int = 2000) -> dict[str, Any]:
    """What each measure of each method is worth, on the labeled rows.

    `methods` has the members' predictions of the same rows in the same order, first `SINGLE`, of one member. The
    members' mean decides. {n, groups, methods: [{name, members, error, error_difference, measures: {name: {aurc,
    excess_aurc, difference, p, p_holm, curve}}}]}: the area; how far it lies above that of the best order of the same
    errors; and above that of the single answer's maximum probability. Differences from the single answer are paired,
    below 0 = better, None for itself. Each is {value, low, high, n, method} by resampling groups, but the error of
    independent rows has Wilson's interval; p values are Holm's over all differences of areas, and None of fewer than
    `intervals.FEW_GROUPS` groups. `curve` has [share deferred, error of the rest].
    """
    single = methods[SINGLE][0]
    known = single.labels >= 0
    labels, groups = single.labels[known], single.groups[known]
    members = {name: np.stack([each.probabilities[known] for each in found]) for name, found in methods.items()}
    wrong = {name: each.mean(0).argmax(-1) != labels for name, each in members.items()}
    doubts = {name: measures(each) for name, each in members.items()}
    pairs = [(method, measure) for method, found in doubts.items() for measure in found]

    def statistics(weights: Array) -> dict[tuple[str, ...], Array]:
        found: dict[tuple[str, ...], Array] = {}
        for method in methods:
            found[method, "error"] = weights @ wrong[method] / weights.sum(1)
            found[method, "error_difference"] = found[method, "error"] - found[SINGLE, "error"]
        for method, measure in pairs:
            area = found[method, measure, "aurc"] = aurc(doubts[method][measure], wrong[method], weights)
            found[method, measure, "excess_aurc"] = area - least_aurc(found[method, "error"])
            found[method, measure, "difference"] = area - found[SINGLE, REFERENCE, "aurc"]
        return found

    values = {key: float(value[0]) for key, value in statistics(np.ones((1, len(labels)))).items()}
    draws = intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed)
    n, units = len(labels), len(set(groups))

    def measured(*key: str) -> dict[str, Any]:
        return asdict(intervals.percentile(values[key], draws[key], n, units, n))

    others = [pair for pair in pairs if pair != (SINGLE, REFERENCE)]
    tested = others if units >= intervals.FEW_GROUPS else []
    p_values = [multiplicity.bootstrap_p(draws[*pair, "difference"]) for pair in tested]
    paid = dict(zip(tested, zip(p_values, multiplicity.corrected(p_values), strict=True), strict=True))

    def of_measure(method: str, measure: str) -> dict[str, Any]:
        found: dict[str, Any] = {name: measured(method, measure, name) for name in ("aurc", "excess_aurc")}
        found |= {"difference": None, "p": None, "p_holm": None}
        if (method, measure) in others:
            found["difference"] = measured(method, measure, "difference")
        if (method, measure) in paid:
            found["p"], found["p_holm"] = paid[method, measure]
        return {**found, "curve": curve(doubts[method][measure], wrong[method])}

    return {
        "n": n,
        "groups": units,
        "methods": [
            {
                "name": method,
                "members": len(found),
                "error": asdict(intervals.share(wrong[method], groups, draws[method, "error"], intervals.wilson)),
                "error_difference": None if method == SINGLE else measured(method, "error_difference"),
                "measures": {measure: of_measure(method, measure) for measure in doubts[method]},
            }
            for method, found in methods.items()
        ],
    }


def curve(doubt: Array, wrong: NDArray[np.bool_]) -> list[list[float]]:
    """[share deferred, error of the rest] at each of `DEFERRED`; equally doubtful rows are deferred last to first."""
    sure_first = wrong[np.argsort(doubt, kind="stable")]
    return [[share, float(sure_first[: len(wrong) - conformal.count(share, len(wrong))].mean())] for share in DEFERRED]


def words(method: str, members: int) -> str:
    """A method in words, such as `mean of 20 passes with dropout`."""
    of = {
        "flips": f"{members} flips of the image",
        "turns": f"{members} flips and quarter turns of the image",
        "dropout": f"{members} passes with dropout",
        "ensemble": f"{members} models",
    }
    return f"mean of {of[method]}" if method in of else "the model as it is"
