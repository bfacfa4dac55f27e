"""Margin ROC curves: thresholds in [-1, 1] on the lead over the strongest candidate (Buiu et al. 2020, sec. 4.2)."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cervix_tf.metrics import margin, predictions

CLASSES = ("normal", "cin1", "cin2_3", "cancer")
POSITIVE = ("cin2_3", "cancer")


def drawn(seed, rows=40):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, rows)
    logits = rng.normal(0, 1.5, (rows, 4)) + 2 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities


def of(labels, probabilities):
    ids = [f"case{at}" for at in range(len(labels))]
    return predictions.from_arrays(ids, probabilities, CLASSES, labels=[CLASSES[label] for label in labels])


def test_hand_arithmetic():
    rows = [[0.1, 0.2, 0.6, 0.1], [0.7, 0.1, 0.1, 0.1], [0.25, 0.35, 0.1, 0.3]]
    np.testing.assert_allclose(margin.margins(rows, [2]), [0.4, -0.6, -0.25])
    np.testing.assert_allclose(margin.margins(rows, [2, 3]), [0.4, -0.6, -0.05])


@given(st.integers(0, 10_000), st.sampled_from([[0], [1], [2], [3], [2, 3]]))
def test_threshold_0_is_the_point_of_the_confusion_matrix(seed, side):
    labels, probabilities = drawn(seed)
    said, truth = np.isin(probabilities.argmax(axis=1), side), np.isin(labels, side)
    matrix = np.array([[((truth == t) & (said == s)).sum() for s in (False, True)] for t in (False, True)])
    (tn, fp), (fn, tp) = matrix
    fpr, tpr = margin.rates(margin.margins(probabilities, side), truth, 0.0)
    assert fpr == pytest.approx(fp / (tn + fp), nan_ok=True) and tpr == pytest.approx(tp / (fn + tp), nan_ok=True)


@given(st.integers(0, 10_000))
def test_threshold_minus_1_calls_every_row_positive_and_1_none(seed):
    labels, probabilities = drawn(seed)
    probabilities[0], probabilities[1] = np.eye(4)[0], np.eye(4)[2]  # margins of exactly -1 and 1
    labels[:2] = 0, 2
    values = margin.margins(probabilities, [2])
    assert values[0] == -1.0 and values[1] == 1.0
    assert margin.rates(values, labels == 2, -1.0) == (1.0, 1.0)
    assert margin.rates(values, labels == 2, 1.0) == (0.0, 0.0)


@given(st.integers(0, 10_000), st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_a_lower_threshold_never_finds_less(seed, thresholds):
    labels, probabilities = drawn(seed)
    values = margin.margins(probabilities, [2, 3])
    found = [margin.rates(values, labels >= 2, threshold) for threshold in sorted(thresholds)]
    assert all(after[0] <= before[0] and after[1] <= before[1] for before, after in itertools.pairwise(found))


def test_the_summarys_curves_go_from_corner_to_corner_through_the_predictions_and_enclose_the_auc():
    labels, probabilities = drawn(3, 200)
    found = margin.summary(of(labels, probabilities), positive=POSITIVE, resamples=200)
    sides = {**{name: [at] for at, name in enumerate(CLASSES)}, "binary": [2, 3]}
    for name, side in sides.items():
        each = found["binary"] if name == "binary" else found["per_class"][name]
        truth, values = np.isin(labels, side), margin.margins(probabilities, side)
        points = list(zip(each["curve"]["fpr"], each["curve"]["tpr"], strict=True))
        assert points[0] == (0.0, 0.0) and points[-1] == (1.0, 1.0)
        assert min(np.hypot(x - each["prediction"][0], y - each["prediction"][1]) for x, y in points) < 1e-5
        auc = each["auc"]
        assert auc["value"] == pytest.approx(roc_auc_score(truth, values))
        assert auc["low"] < auc["value"] < auc["high"] and auc["n"] == 200 and "bootstrap" in auc["method"]


def test_a_class_that_does_not_occur_has_no_curve_and_says_so():
    labels, probabilities = drawn(0)
    labels[labels == 3] = 2
    found = margin.summary(of(labels, probabilities), positive=POSITIVE, resamples=20)["per_class"]["cancer"]
    assert found["auc"]["value"] is None and "undefined" in found["auc"]["method"]
    assert found["curve"] is None and found["prediction"] is None


def test_rows_without_a_label_do_not_count():
    labels, probabilities = drawn(1)
    more = predictions.from_arrays(
        [f"case{at}" for at in range(41)],
        np.vstack([probabilities, [[0.0, 0.0, 0.0, 1.0]]]),
        CLASSES,
        labels=[*(CLASSES[label] for label in labels), ""],
    )
    assert margin.summary(more, positive=POSITIVE, resamples=20) == margin.summary(
        of(labels, probabilities), positive=POSITIVE, resamples=20
    )


def test_a_threshold_outside_of_the_margins_range_is_refused():
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        margin.rates([0.5], [True], 1.5)


def test_a_threshold_trades_sensitivity_for_specificity_and_at_0_is_the_decision():
    values = [[0.7, 0.3], [0.55, 0.45], [0.4, 0.6], [0.1, 0.9], [0.9, 0.1]]
    said = predictions.from_arrays("abcde", values, ("no", "yes"), labels=["no", "yes", "no", "yes", ""])

    def rates(threshold):
        found = margin.at_threshold(said, threshold, positive=("yes",))
        assert found["threshold"] == threshold and found["metrics"]["sensitivity"]["n"] == 2  # the fifth has no label
        return tuple(found["metrics"][name]["value"] for name in ("sensitivity", "specificity", "accuracy"))

    assert rates(0.0) == (0.5, 0.5, 0.5)
    assert rates(-0.3) == (1.0, 0.5, 0.75)
    assert rates(0.5) == (0.5, 1.0, 0.75)
    assert rates(-1.0) == (1.0, 0.0, 0.5) and rates(1.0) == (0.0, 1.0, 0.5)
