"""Uncertainty measures and the risk-coverage curve, against slow arithmetic from definitions and in simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.metrics import conformal, predictions, uncertainty

CLASSES = ("a", "b", "c")
seeds = st.integers(0, 10_000)


def of(probabilities, labels, groups=None):
    ids = [f"row{at}" for at in range(len(labels))]
    return predictions.from_arrays(ids, probabilities, CLASSES, labels=[CLASSES[at] for at in labels], groups=groups)


def drawn(generator, members, rows):
    return generator.dirichlet(np.ones(3), (members, rows))


def entropy(row):
    return -sum(p * math.log(p) for p in row if p > 0)


@given(seeds)
def test_measures_are_those_of_a_loop_over_members_and_classes(seed):
    members = drawn(np.random.default_rng(seed), 5, 4)
    members[0, 0] = (1, 0, 0)
    found = uncertainty.measures(members)
    for row in range(4):
        answers = members[:, row].tolist()
        mean = [sum(each[at] for each in answers) / 5 for at in range(3)]
        variance = sum(sum((each[at] - mean[at]) ** 2 for each in answers) / 5 for at in range(3))
        assert found["max_probability"][row] == pytest.approx(1 - max(mean))
        assert found["entropy"][row] == pytest.approx(entropy(mean))
        assert found["mutual_information"][row] == pytest.approx(entropy(mean) - sum(map(entropy, answers)) / 5)
        assert found["variance"][row] == pytest.approx(variance)


def test_members_that_contradict_each_other_and_members_that_do_not_know_are_told_apart():
    contradicting, unsure = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]
    found = uncertainty.measures(np.stack([contradicting, unsure], axis=1))
    assert found["entropy"] == pytest.approx([math.log(2)] * 2)
    assert found["max_probability"] == pytest.approx([0.5, 0.5])
    assert found["mutual_information"] == pytest.approx([math.log(2), 0])
    assert found["variance"] == pytest.approx([0.5, 0])


def test_one_answer_has_no_spread():
    assert list(uncertainty.measures(drawn(np.random.default_rng(0), 1, 3))) == ["max_probability", "entropy"]


def test_the_area_by_hand():
    doubt, wrong = np.array([0.4, 0.1, 0.3, 0.2]), np.array([False, False, True, False])
    # Kept one after another, the surest first: 0 of 1, 0 of 2, 1 of 3, 1 of 4 are wrong.
    assert uncertainty.aurc(doubt, wrong, np.ones((1, 4))) == pytest.approx([(1 / 3 + 1 / 4) / 4])


@given(seeds)
def test_the_area_of_weighted_rows_is_that_of_rows_repeated_with_equals_kept_together(seed):
    generator = np.random.default_rng(seed)
    doubt, wrong = generator.integers(0, 6, 12) / 6, generator.random(12) < 0.4
    weights = generator.integers(0, 4, (3, 12)).astype(float)
    weights[:, 0] += 1
    for found, times in zip(uncertainty.aurc(doubt, wrong, weights), weights.astype(int), strict=True):
        rows = [(doubt[at], wrong[at]) for at in range(12) for _ in range(times[at])]
        risks = [np.mean([bad for other, bad in rows if other <= mine]) for mine, _ in rows]
        assert found == pytest.approx(np.mean(risks))


@pytest.mark.parametrize("errors", [0, 300, 2000, 4000])
def test_the_best_order_of_the_same_errors_reaches_the_least_area(errors):
    doubt, wrong = np.arange(4000.0), np.arange(4000) >= 4000 - errors
    found = uncertainty.aurc(doubt, wrong, np.ones((1, 4000)))
    assert found == pytest.approx(uncertainty.least_aurc(np.array([errors / 4000])), abs=1e-3)
    assert (uncertainty.aurc(-doubt, wrong, np.ones((1, 4000))) >= found).all()


def spread(generator, rows, knows):
    """A model that is unsure at random, and the members of one that is unsure where it errs, if it `knows`."""
    hard = generator.random(rows) < 0.3
    labels = generator.integers(0, 3, rows)
    wrong = hard & (generator.random(rows) < 0.7)
    decided = np.where(wrong, (labels + 1) % 3, labels)
    sure = generator.uniform(0.5, 0.95, rows)
    own = np.full((rows, 3), 0.0) + ((1 - sure) / 2)[:, None]
    own[np.arange(rows), decided] = sure
    doubted = hard if knows else generator.permutation(hard)
    members = [own]
    for _ in range(6):
        noisy = own + np.where(doubted, 0.25, 0.02)[:, None] * generator.random((rows, 3))
        members.append(noisy / noisy.sum(1, keepdims=True))
    return labels, members


def test_a_spread_that_knows_its_errors_is_better_than_the_maximum_probability_and_one_that_does_not_is_not():
    generator = np.random.default_rng(0)
    for knows in (True, False):
        labels, members = spread(generator, 600, knows)
        groups = [f"w{at // 2}" for at in range(600)]
        answers = [of(each, labels, groups) for each in members]
        found = uncertainty.summary({"single": answers[:1], "ensemble": answers}, resamples=300)
        assert (found["n"], found["groups"]) == (600, 300)
        single, ensemble = found["methods"]
        assert (single["members"], ensemble["members"]) == (1, 7)
        assert single["measures"]["max_probability"]["difference"] is single["error_difference"] is None
        assert ensemble["error_difference"]["value"] == pytest.approx(
            ensemble["error"]["value"] - single["error"]["value"]
        )
        measured = ensemble["measures"]["variance"]
        assert (measured["difference"]["high"] < 0) is knows
        assert (measured["p_holm"] < 0.05) is knows
        assert measured["p"] <= measured["p_holm"]
        area = measured["aurc"]["value"]
        reference = single["measures"]["max_probability"]["aurc"]["value"]
        assert measured["difference"]["value"] == pytest.approx(area - reference)
        assert 0 <= measured["excess_aurc"]["value"] < area
        assert "300 groups" in measured["aurc"]["method"]


@pytest.mark.parametrize("groups", [1, 2, 19])
def test_of_too_few_women_there_is_a_difference_but_no_p_value(groups):
    labels, members = spread(np.random.default_rng(0), 200, True)
    answers = [of(each, labels, [f"w{at % groups}" for at in range(200)]) for each in members]
    found = uncertainty.summary({"single": answers[:1], "ensemble": answers}, resamples=100)
    measured = found["methods"][1]["measures"]["variance"]
    assert measured["difference"]["value"] < 0 and measured["p"] is measured["p_holm"] is None


def test_equal_answers_are_worth_nothing_more():
    labels, members = spread(np.random.default_rng(1), 100, True)
    found = uncertainty.summary(
        {"single": [of(members[0], labels)], "ensemble": [of(members[0], labels)] * 3}, resamples=100
    )
    measured = found["methods"][1]["measures"]["max_probability"]
    assert measured["difference"]["value"] == pytest.approx(0, abs=1e-12)
    assert measured["p"] == measured["p_holm"] == 1


def test_the_curve_has_the_errors_that_deferral_reports():
    labels, members = spread(np.random.default_rng(2), 130, True)
    answers = of(members[0], labels)
    expected = {each["deferred"]: each["error"]["value"] for each in conformal.deferral(answers, resamples=20)}
    doubt = uncertainty.measures(answers.probabilities[None])["max_probability"]
    curve = dict(uncertainty.curve(doubt, answers.decisions != answers.labels))
    assert list(curve)[0::10] == [0, 0.5]
    assert {share: curve[share] for share in expected} == pytest.approx(expected)


def test_a_share_of_rows_is_not_one_row_less_by_rounding():
    doubt, wrong = np.arange(180.0), np.arange(180) >= 117  # the 63 that are 35 % of 180
    assert dict(uncertainty.curve(doubt, wrong))[0.35] == 0
    assert conformal.count(0.35, 180) == 63 and conformal.count(0.05, 99) == 4


def test_unlabeled_rows_are_left_out():
    labels, members = spread(np.random.default_rng(3), 50, True)
    whole = of(members[0], labels)
    table = whole.table.copy()
    table.loc[40:, "label"] = ""
    found = uncertainty.summary({"single": [predictions.Predictions(table, CLASSES)]}, resamples=20)
    assert found["n"] == 40


def test_intervals_of_the_area_hold_the_truth_with_correlated_images_a_woman():
    generator = np.random.default_rng(4)

    def women(count):
        hard = np.repeat(generator.normal(size=count), 4)
        doubt = hard + 0.5 * generator.normal(size=4 * count)
        return doubt, generator.random(4 * count) < 1 / (1 + np.exp(1.5 - hard))

    doubt, wrong = women(200_000)
    truth = uncertainty.aurc(doubt, wrong, np.ones((1, len(doubt))))[0]
    held = 0
    for _ in range(200):
        doubt, wrong = women(80)
        sure = 0.9 - 0.5 / (1 + np.exp(-doubt))  # the same order
        labels = np.zeros(320, int)
        rows = np.stack([sure, (1 - sure) * 0.6, (1 - sure) * 0.4], axis=1)
        rows[wrong] = rows[wrong][:, [1, 0, 2]]
        answers = of(rows, labels, [f"w{at // 4}" for at in range(320)])
        found = uncertainty.summary({"single": [answers]}, resamples=200)
        area = found["methods"][0]["measures"]["max_probability"]["aurc"]
        held += area["low"] <= truth <= area["high"]
    assert 0.9 <= held / 200 <= 0.99
