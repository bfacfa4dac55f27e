"""Thresholds are chosen on validation alone, and what they mean is Bayes' theorem."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cervix_tf.errors import InputError
from cervix_tf.metrics import operating_points, predictions

CLASSES = ("normal", "low", "high")
POSITIVE = ("low", "high")


def of(scores, truth, groups=None, prefix="case"):
    scores = np.asarray(scores, float)
    probabilities = np.stack([1 - scores, scores / 2, scores / 2], axis=1)
    labels = [CLASSES[2 * bool(each)] for each in truth]
    ids = [f"{prefix}{at}" for at in range(len(scores))]
    return predictions.from_arrays(ids, probabilities, CLASSES, labels=labels, groups=groups)


def drawn(seed, rows=40):
    generator = np.random.default_rng(seed)
    truth = generator.random(rows) < 0.4
    scores = (generator.integers(0, 16, rows) + 4 * truth) / 32  # halves and sums of these are exact: ties stay ties
    return scores, truth


def rates(scores, truth, threshold):
    called = scores >= threshold
    return called[truth].mean(), (~called)[~truth].mean()


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_a_target_is_reached_and_no_other_threshold_that_reaches_it_costs_less(seed, target):
    scores, truth = drawn(seed)
    assume(truth.any() and not truth.all())
    every = [*np.unique(scores), 2.0]
    for at, name in enumerate(("sensitivity", "specificity")):
        rule = operating_points.rule(f"{name}:{target}")
        found = rates(scores, truth, operating_points.choose(of(scores, truth), POSITIVE, rule))
        assert found[at] >= target - 1e-9
        reaching = [each for each in (rates(scores, truth, t) for t in every) if each[at] >= target - 1e-9]
        assert found[1 - at] == max(each[1 - at] for each in reaching)


@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 10.0]), st.sampled_from([None, 0.05, 0.5]))
def test_youden_and_cost_are_the_best_of_all_thresholds(seed, cost, prevalence):
    scores, truth = drawn(seed)
    assume(truth.any() and not truth.all())
    share = truth.mean() if prevalence is None else prevalence
    every = [rates(scores, truth, t) for t in [*np.unique(scores), 2.0]]

    def chosen(text):
        rule = operating_points.rule(text)
        return rates(scores, truth, operating_points.choose(of(scores, truth), POSITIVE, rule, prevalence=prevalence))

    def loss(found):
        return cost * share * (1 - found[0]) + (1 - share) * (1 - found[1])

    assert sum(chosen("youden")) == pytest.approx(max(map(sum, every)))
    assert loss(chosen(f"cost:{cost}")) == pytest.approx(min(map(loss, every)))


def test_predictive_values_at_a_prevalence_by_hand():
    # Of 1000 patients 50 are ill: 45 found, 5 missed; of 950 well 190 alarmed, 760 spared.
    found = operating_points.values_at(np.array(0.9), np.array(0.8), 0.05)
    assert found["ppv_at_prevalence"] == pytest.approx(45 / 235)
    assert found["npv_at_prevalence"] == pytest.approx(760 / 765)
    assert found["positive_likelihood_ratio"] == pytest.approx(4.5)
    assert found["negative_likelihood_ratio"] == pytest.approx(0.125)


def test_at_the_prevalence_of_the_test_rows_the_predictive_values_are_those_of_the_rows():
    scores, truth = drawn(3, 200)
    tested = of(scores, truth)
    found = operating_points.measured(tested, scores >= 0.3, positive=POSITIVE, prevalence=float(truth.mean()))
    assert found["ppv_at_prevalence"]["value"] == pytest.approx(found["precision"]["value"])
    assert found["npv_at_prevalence"]["value"] == pytest.approx(found["negative_predictive_value"]["value"])
    assert found["ppv_at_prevalence"]["low"] < found["ppv_at_prevalence"]["value"] < found["ppv_at_prevalence"]["high"]


def test_without_a_false_alarm_the_predictive_value_is_not_certain():
    truth = np.arange(40) < 20
    found = operating_points.measured(of(0.1 + 0.8 * truth, truth), truth, positive=POSITIVE, prevalence=0.05)
    assert found["ppv_at_prevalence"]["value"] == 1
    assert found["ppv_at_prevalence"]["low"] < 0.3  # specificity may be 0.83: 20 rows cannot tell
    assert found["positive_likelihood_ratio"]["value"] is None


@pytest.mark.parametrize("alarms", [1, 2])
def test_a_likelihood_ratio_that_is_infinite_in_many_resamples_has_no_low_upper_end(alarms):
    truth = np.arange(200) < 100  # 80 of 100 found, 1 or 2 of 100 called by mistake
    called = (np.arange(200) < 80) | (np.arange(200) >= 200 - alarms)
    found = operating_points.measured(of(called / 2, truth), called, positive=POSITIVE, prevalence=0.05)
    ratio = found["positive_likelihood_ratio"]
    assert ratio["value"] == pytest.approx(80 / alarms) and ratio["low"] < 20
    logarithm = np.sqrt(0.2 / 80 + (1 - alarms / 100) / alarms)  # Simel et al. 1991
    assert ratio["high"] > 80 / alarms * np.exp(1.96 * logarithm) and np.isfinite(ratio["high"])
    few = operating_points.measured(
        of((truth ^ (np.arange(200) % 10 == 0)) / 2, truth), truth ^ (np.arange(200) % 10 == 0), positive=POSITIVE
    )["positive_likelihood_ratio"]  # 10 false alarms: hardly a resample without any
    assert few["method"].startswith("bootstrap") and "undefined" not in few["method"]


def test_a_rate_without_an_interval_leaves_what_follows_from_it_without_one():
    truth = np.arange(14) < 10  # every positive is found; all negatives are images of one woman
    groups = [f"woman {min(at, 10)}" for at in range(14)]
    called = truth | (np.arange(14) == 12)
    found = operating_points.measured(
        of(called / 2, truth, groups), called, positive=POSITIVE, prevalence=0.1, resamples=100
    )
    assert found["specificity"]["low"] is None
    ratio = found["positive_likelihood_ratio"]
    assert (ratio["value"], ratio["low"], ratio["high"]) == (pytest.approx(4), None, None)
    assert ratio["method"] == "no interval: specificity has none (there is one group only)"
    assert found["ppv_at_prevalence"]["low"] is None


def test_women_with_several_images_make_the_intervals_wider():
    scores, truth = drawn(5, 60)
    women = [f"w{at}" for at in range(60) for _ in range(6)]
    six = of(np.repeat(scores, 6), np.repeat(truth, 6), women)
    alone = of(np.repeat(scores, 6), np.repeat(truth, 6))

    def width(tested):
        called = tested.positive(POSITIVE)[2] >= 0.3
        one = operating_points.measured(tested, called, positive=POSITIVE, prevalence=0.05)["ppv_at_prevalence"]
        return one["high"] - one["low"]

    assert width(six) > 1.8 * width(alone)


def test_a_threshold_is_chosen_on_validation_alone():
    scores, truth = drawn(1)
    tested, validation = of(scores, truth), of(scores, truth, prefix="other")
    rule = operating_points.rule("youden")
    found = operating_points.summary(tested, validation, rule, positive=POSITIVE, resamples=100)
    assert found["threshold"] == operating_points.choose(validation, POSITIVE, rule)
    with pytest.raises(InputError, match="share 40 groups"):
        operating_points.summary(tested, tested, rule, positive=POSITIVE)
    with pytest.raises(InputError, match="no validation row"):
        operating_points.summary(tested, None, rule, positive=POSITIVE)
    with pytest.raises(InputError, match="0 of 5 are positive"):
        operating_points.choose(of(scores[:5], [0] * 5), POSITIVE, rule)


@pytest.mark.parametrize("text", ["sensitivity", "sensitivity:1", "specificity:x", "cost:0", "cost:inf", "best", ""])
def test_what_is_no_rule_is_refused_with_the_forms_there_are(text):
    with pytest.raises(InputError, match="youden"):
        operating_points.rule(text)
