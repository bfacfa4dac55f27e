"""At which score a model calls a case positive, and what such a call means for a patient at a stated prevalence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, confusion, intervals, roc
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.predictions import Predictions, check_apart, from_arrays

Array = NDArray[np.float64]
RATES = ("accuracy", "sensitivity", "specificity", "precision", "negative_predictive_value")
_ROUNDING = 1e-4
_TAIL = (1 - intervals.LEVEL) / 2
"""Share of draws beyond an end of an interval."""
MOST_PROBABLE = "most probable class"
_FORMS = "sensitivity:0.95, specificity:0.9, youden, or cost:10"


@dataclass(frozen=True)
class Rule:
    """How an operating point is chosen; written `sensitivity:0.95`, `specificity:0.9`, `youden` or `cost:10`."""

    name: str
    value: float = 0.0
    """The rate to reach, in (0, 1); for cost, how many false alarms weigh as much as one missed positive."""

    def __str__(self) -> str:
        return self.name if self.name == "youden" else f"{self.name}:{self.value:g}"


def rule(text: str, option: str = "--operating-point") -> Rule:
    """The rule that `text` writes. Raises `InputError`, naming `option`, for anything else."""
    name, _, number = text.partition(":")
    if text == "youden":
        return Rule(name)
    try:
        value = float(number)
    except ValueError:
        value = np.nan
    if (name in ("sensitivity", "specificity") and 0 < value < 1) or (name == "cost" and 0 < value < np.inf):
        return Rule(name, value)
    if name in ("sensitivity", "specificity") and 1 < value < 100:
        raise InputError(f"{option} {text}: is a percentage, but a share is expected: write {name}:{value / 100:g}")
    raise InputError(f"{option} {text}: is not a rule for an operating point; write {_FORMS}")


def choose(validation: Predictions, positive: Sequence[str], wanted: Rule, *, prevalence: float | None = None) -> float:
    """The threshold that `wanted` asks for: rows are positive whose score is at least this.

    The score is the positive classes' summed probability. A target rate is met by the threshold that costs least of
    the other rate; Youden's index and cost take the lowest of equally good thresholds. Cost is an expectation at
    `prevalence`, by default that of the validation rows. The threshold lies a little below a score, by 1e-4 or
    halfway to the next, so that rounding in another format of the model does not turn the decision of that row.

    Source: Youden 1950; cost: Metz, Seminars in Nuclear Medicine 8, 1978.

    Raises `InputError` when no validation row is positive, or none is negative.
    """
    known = validation.where(validation.labels >= 0)
    truth, _, score = known.positive(positive)
    if not truth.any() or truth.all():
        raise InputError(
            f"operating point {wanted}: needs positive and negative validation rows, "
            f"but {int(truth.sum())} of {len(truth)} are positive; give more rows the split validation"
        )
    return _below(_lowest(score, truth, wanted, prevalence), score)


def _below(threshold: float, score: Array) -> float:
    """A threshold of the same decisions, a little below the lowest score that reaches this one."""
    above, below = score[score >= threshold], score[score < threshold]
    if not len(above):
        return threshold
    lowest = float(above.min())
    return lowest - min(_ROUNDING, (lowest - float(below.max(initial=0.0))) / 2)


def _lowest(score: Array, truth: NDArray[np.bool_], wanted: Rule, prevalence: float | None) -> float:
    if wanted.name == "specificity":
        return roc.threshold_at_specificity(score, truth, wanted.value)
    if wanted.name == "sensitivity":
        missed = int(np.floor((1 - wanted.value) * truth.sum() + 1e-9))
        return float(np.sort(score[truth])[missed])
    share = truth.mean() if prevalence is None else prevalence
    miss, alarm = (1.0, 1.0) if wanted.name == "youden" else (wanted.value * share, 1 - share)
    candidates = np.unique(score)
    hits, misses = roc.ranked(score, truth, np.ones((1, len(score))))
    below = [np.r_[0.0, np.cumsum(side[0])] / side.sum() for side in (hits, misses)]
    cost = miss * below[0] + alarm * (1 - below[1])
    thresholds = np.r_[candidates, np.nextafter(candidates[-1], np.inf)]
    return float(thresholds[np.flatnonzero(cost <= cost.min() + 1e-12)[0]])


def measured(
    predictions: Predictions,
    called: NDArray[np.bool_],
    *,
    positive: Sequence[str],
    prevalence: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, dict[str, Any]]:
    """How good it is to call positive the rows `called`, (rows,): each number {value, low, high, n, method}.

    Accuracy, sensitivity, specificity, both predictive values and both likelihood ratios of the labeled rows; with
    `prevalence`, in (0, 1), also the predictive values at that prevalence, since test sets are seldom
    composed like the patients who come.

    Source: predictive values by Bayes' theorem; likelihood ratios: Simel et al., J Clin Epidemiol 44, 1991.
    """
    label = np.where(predictions.labels < 0, "", np.where(predictions.positive(positive)[0], "positive", "negative"))
    yes = called.astype(np.float64)
    two = from_arrays(
        predictions.table["id"],
        np.stack([1 - yes, yes], axis=1),
        ("negative", "positive"),
        labels=label,
        groups=predictions.groups,
    )
    whole = classification.summary(two, positive=("positive",), seed=seed, resamples=resamples)["binary"]["metrics"]
    return {name: whole[name] for name in RATES} | _derived(two, whole, prevalence, seed, resamples)


def summary(
    tested: Predictions,
    validation: Predictions | None,
    wanted: Rule | None,
    *,
    positive: Sequence[str],
    prevalence: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """The operating point chosen on `validation` and how good it is on `tested`.

    {rule, threshold, prevalence, counts, metrics}; without a rule a row is positive where its most probable class is,
    and the threshold is None.

    Raises `InputError` when there is no validation row to choose on, or one of a group that is tested.
    """
    point = None
    if wanted is not None:
        if validation is None:
            raise InputError(
                f"--operating-point {wanted}: there is no validation row to choose it on, and test rows are never "
                "used for that; give some rows the split validation, or evaluate the run, which keeps its own"
            )
        check_apart(validation, tested, f"--operating-point {wanted}", "a threshold chosen on them would look too good")
        point = OperatingPoint(str(wanted), choose(validation, positive, wanted, prevalence=prevalence))
    return at(tested, point, positive=positive, prevalence=prevalence, seed=seed, resamples=resamples)


def at(
    tested: Predictions,
    point: OperatingPoint | None,
    *,
    positive: Sequence[str],
    prevalence: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """How good an operating point that was chosen before is on `tested`, as `summary` gives it; None = the most
    probable class decides."""
    _, called, score = tested.positive(positive)
    if point is not None:
        called = score >= point.threshold
    found = measured(tested, called, positive=positive, prevalence=prevalence, seed=seed, resamples=resamples)
    return {
        "rule": point.rule if point else MOST_PROBABLE,
        "threshold": point.threshold if point else None,
        "prevalence": prevalence,
        "counts": _counts(tested, called, positive),
        "metrics": found,
    }


def _counts(tested: Predictions, called: NDArray[np.bool_], positive: Sequence[str]) -> dict[str, int]:
    """Labeled cases: positive, missed of them, negative, alarmed of them."""
    known, truth = tested.labels >= 0, tested.positive(positive)[0]
    sides = {"positive": known & truth, "negative": known & ~truth}
    return {
        "positive": int(sides["positive"].sum()),
        "missed": int((sides["positive"] & ~called).sum()),
        "negative": int(sides["negative"].sum()),
        "alarmed": int((sides["negative"] & called).sum()),
    }


def words(point: Mapping[str, Any]) -> str:
    """What `summary` gives, in words: rule, threshold, what `chosen_on` says it was chosen on, and prevalence."""
    text = point["rule"]
    if point["threshold"] is not None:
        text += f", positive from a score of {point['threshold']:.3g}, chosen on {point.get('chosen_on', 'validation')}"
    return text if point["prevalence"] is None else f"{text}; at a prevalence of {100 * point['prevalence']:g} %"


def values_at(sensitivity: Array, specificity: Array, prevalence: float | None = None) -> dict[str, Array]:
    """Likelihood ratios, and with `prevalence` predictive values, of a test with these rates, each (...).

    NaN where a ratio divides 0 by 0, infinite where it divides another number by 0.
    """
    found = {
        "positive_likelihood_ratio": _odds(sensitivity, 1 - specificity),
        "negative_likelihood_ratio": _odds(1 - sensitivity, specificity),
    }
    if prevalence is not None:
        true, false = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
        found["ppv_at_prevalence"] = confusion.ratio(true, true + false)
        missed, spared = prevalence * (1 - sensitivity), (1 - prevalence) * specificity
        found["npv_at_prevalence"] = confusion.ratio(spared, missed + spared)
    return found


def _odds(of: Array, to: Array) -> Array:
    return np.where((to == 0) & (of > 0), np.inf, confusion.ratio(of, to))


def _derived(
    two: Predictions, rates: dict[str, dict[str, Any]], prevalence: float | None, seed: int, resamples: int
) -> dict[str, dict[str, Any]]:
    """What follows from sensitivity and specificity, with intervals."""
    known = two.where(two.labels >= 0)

    def statistics(weights: Array) -> dict[str, Array]:
        matrix = confusion.counts(known.labels, known.decisions, 2, weights)
        return values_at(confusion.sensitivity(matrix)[:, 1], confusion.specificity(matrix)[:, 1], prevalence)

    values = statistics(np.ones((1, len(known))))
    both = [rates[name] for name in ("sensitivity", "specificity")]
    if any(each["value"] is None for each in both):
        return {name: asdict(intervals.undefined("no row of one side", len(known))) for name in values}
    # A rate of 0 or 1 is the same in every resample, as if it were known for certain.
    if any(each["value"] in (0.0, 1.0) for each in both):
        return {name: asdict(_of_ends(name, float(value[0]), both, prevalence)) for name, value in values.items()}
    draws = intervals.cluster_bootstrap(known.groups, statistics, resamples=resamples, seed=seed)
    units = len(set(known.groups))
    found = {}
    for name, value in values.items():
        one, drawn = float(value[0]), draws[name]
        infinite = np.isinf(drawn)
        if infinite.sum() >= _TAIL * (~np.isnan(drawn)).sum():
            found[name] = _of_ends(name, one, both, prevalence)
        else:  # beyond the upper end, wherever they lie
            drawn = np.where(infinite, drawn[np.isfinite(drawn)].max(initial=one), drawn)
            found[name] = intervals.percentile(one, drawn, len(known), units, len(known))
    return {name: asdict(each) for name, each in found.items()}


def _of_ends(name: str, value: float, rates: list[dict[str, Any]], prevalence: float | None) -> Interval:
    """The widest interval that those of both rates allow: all four numbers rise or fall with both of them."""
    n = sum(each["n"] for each in rates)
    if not np.isfinite(value):
        nobody = "no negative row is called positive" if name.startswith("pos") else "no row is called so"
        return intervals.undefined(nobody, n)
    for rate, of in zip(rates, ("sensitivity", "specificity"), strict=True):
        if rate["low"] is None:
            why = rate["method"].removeprefix("no interval: ")
            return Interval(value, None, None, n, f"no interval: {of} has none ({why})")
    ends = [
        float(values_at(np.array(rates[0][end]), np.array(rates[1][end]), prevalence)[name]) for end in ("low", "high")
    ]
    known = [end for end in ends if np.isfinite(end)]
    if len(known) < 2:
        return Interval(value, None, None, n, "no interval: unbounded, as one rate may be 0 or 1")
    return Interval(value, min(known), max(known), n, "from the ends of both rates' intervals (wide)")
