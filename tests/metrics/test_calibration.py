"""Measures of calibration against statsmodels, scikit-learn and arithmetic by hand; recalibration by what it mends."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration, _TemperatureScaling
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from cervix_tf.decision import Calibration
from cervix_tf.errors import InputError
from cervix_tf.metrics import calibration, predictions, recalibration

CLASSES = ("normal", "low", "high")


def drawn(rows, seed=0, sharper=1.0, classes=CLASSES):
    """Predictions whose labels follow their probabilities, then made too sure by the factor `sharper`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, len(classes))) * 1.5
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = [classes[generator.choice(len(classes), p=row)] for row in true]
    said = np.exp(sharper * logits) / np.exp(sharper * logits).sum(1, keepdims=True)
    return predictions.from_arrays([f"{seed}_{at}" for at in range(rows)], said, classes, labels=labels)


def _binary(seed, rows=200):
    generator = np.random.default_rng(seed)
    score = np.clip(generator.beta(1, 1, rows), 0.02, 0.98)
    return score, generator.random(rows) < score**1.5


@pytest.mark.parametrize("seed", range(4))
def test_slope_and_intercept_equal_statsmodels(seed):
    score, event = _binary(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(score))).astype(float)
    slope, intercept = calibration.logistic(score, event, weights, steps=30)
    odds = np.log(score / (1 - score))
    for at, row in enumerate(weights):
        family = sm.families.Binomial()
        whole = sm.GLM(event, sm.add_constant(odds), family=family, freq_weights=row).fit()
        large = sm.GLM(event, np.ones(len(odds)), family=family, offset=odds, freq_weights=row).fit()
        assert slope[at] == pytest.approx(whole.params[1], abs=1e-5)
        assert intercept[at] == pytest.approx(large.params[0], abs=1e-5)


def test_a_probability_that_separates_the_rows_has_no_slope():
    score, event = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    slope, _ = calibration.logistic(score, event, np.ones((1, 4)), steps=50)
    assert np.isnan(slope[0])


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_the_brier_score_equal_scikit_learn_and_make_up_the_whole(seed):
    score, event = _binary(seed)
    score = score.round(2)  # ties too
    weights = np.random.default_rng(seed).integers(0, 3, (2, len(score))).astype(float)
    found = calibration.brier_parts(score, event, weights)
    for at, row in enumerate(weights):
        best = IsotonicRegression().fit(score, event, sample_weight=row).predict(score)
        share = np.average(event, weights=row)
        assert found["brier"][at] == pytest.approx(brier_score_loss(event, score, sample_weight=row))
        assert found["brier"][at] - found["miscalibration"][at] == pytest.approx(
            brier_score_loss(event, best, sample_weight=row)
        )
        assert found["uncertainty"][at] == pytest.approx(share * (1 - share))
        parts = found["miscalibration"] - found["discrimination"] + found["uncertainty"]
        assert parts[at] == pytest.approx(found["brier"][at])


def test_temperature_is_that_of_scikit_learn():
    given_ = drawn(400, sharper=2.5)
    said = given_.probabilities
    oracle = _TemperatureScaling().fit(said, given_.labels)
    found = recalibration.fitted(given_, "temperature")
    np.testing.assert_allclose(found.applied(said), oracle.predict(said), atol=1e-5)
    assert len(set(found.scale)) == 1 and set(found.bias) == {0.0}


def test_platt_of_two_classes_is_that_of_scikit_learn():
    given_ = drawn(300, sharper=2.0, classes=("no", "yes"))
    said = given_.probabilities
    odds = np.log(said[:, 1] / said[:, 0])
    oracle = _SigmoidCalibration().fit(odds, given_.labels).predict(odds)
    np.testing.assert_allclose(recalibration.fitted(given_, "platt").applied(said)[:, 1], oracle, atol=1e-4)


@pytest.mark.parametrize("method", ["temperature", "platt", "vector"])
def test_a_model_that_is_too_sure_is_mended_on_rows_that_it_was_not_fitted_on(method):
    found = recalibration.fitted(drawn(1500, seed=1, sharper=3.0), method)
    tested = drawn(1500, seed=2, sharper=3.0)
    before, after = (
        calibration.measured(each, ("low", "high"), resamples=100)["metrics"]
        for each in (tested, recalibration.applied(tested, found))
    )
    values = [each["expected_calibration_error"]["value"] for each in (before, after)]
    assert values[0] > 0.15 and values[1] < 0.06
    assert before["calibration_slope"]["high"] < 0.5
    assert after["calibration_slope"]["value"] == pytest.approx(1, abs=0.15)
    assert after["log_loss"]["value"] < before["log_loss"]["value"]
    assert np.mean(found.scale) == pytest.approx(1 / 3, abs=0.05)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(["temperature", "platt", "vector"]))
def test_what_was_applied_is_undone(seed, method):
    given_ = drawn(60, seed)
    generator = np.random.default_rng(seed)
    scale = generator.uniform(0.3, 3, 3) if method == "vector" else [generator.uniform(0.3, 3)] * 3
    found = Calibration(method, tuple(scale), tuple(generator.normal(size=3)))
    again = recalibration.undone(recalibration.applied(given_, found), found)
    np.testing.assert_allclose(again.probabilities, given_.probabilities, atol=1e-9)


def test_temperature_changes_no_decision():
    given_ = drawn(200, sharper=2.0)
    found = recalibration.fitted(given_, "temperature")
    np.testing.assert_array_equal(recalibration.applied(given_, found).decisions, given_.decisions)


def test_rows_that_cannot_tell_are_refused():
    with pytest.raises(InputError, match="5 labeled validation rows; needs 20"):
        recalibration.fitted(drawn(5), "temperature")
    sure = np.tile([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], (15, 1))
    right = predictions.from_arrays(map(str, range(30)), sure, CLASSES, labels=["normal", "low"] * 15)
    with pytest.raises(InputError, match="right on every row, so the best confidence is unbounded"):
        recalibration.fitted(right, "temperature")
    with pytest.raises(InputError, match=r"0 validation rows of 'high'.*--calibrate temperature"):
        recalibration.fitted(right, "vector")
