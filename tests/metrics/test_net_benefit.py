"""Decision curves agree with dcurves, and with the arithmetic of who is treated."""

import json
from pathlib import Path

import numpy as np
import pytest

from cervix_tf.metrics import net_benefit, predictions

ORACLE = json.loads((Path(__file__).parent.parent / "oracles" / "decisions.json").read_text())["net_benefit"]


def of(scores, truth):
    scores = np.asarray(scores, float)
    labels = [("no", "yes")[int(each)] for each in truth]
    rows = np.stack([1 - scores, scores], axis=1)
    return predictions.from_arrays([f"{at}" for at in range(len(scores))], rows, ("no", "yes"), labels=labels)


@pytest.mark.parametrize(("name", "prevalence"), [("of the rows", None), ("0.05", 0.05)])
def test_net_benefit_is_that_of_dcurves(name, prevalence):
    tested = of(ORACLE["score"], ORACLE["truth"])
    found = net_benefit.curve(
        tested, positive=["yes"], prevalence=prevalence, thresholds=ORACLE["thresholds"], resamples=100
    )
    for ours, theirs in (("model", "p"), ("treat_all", "all")):
        values = [each[ours]["value"] for each in found]
        np.testing.assert_allclose(values, ORACLE["net_benefit"][name][theirs], atol=1e-12)


def test_by_hand_on_ten_patients():
    # From 0.25 on: 3 of 4 ill and 2 of 6 well are treated; a false positive weighs 1/3: (3 - 2/3) / 10.
    tested = of([0.9, 0.8, 0.3, 0.1, 0.6, 0.4, 0.2, 0.1, 0.1, 0.1], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    (point,) = net_benefit.curve(tested, positive=["yes"], thresholds=[0.25], resamples=100)
    assert point["model"]["value"] == pytest.approx((3 - 2 / 3) / 10)
    assert point["treat_all"]["value"] == pytest.approx((4 - 6 / 3) / 10)
    assert point["gain"]["value"] == pytest.approx(point["model"]["value"] - point["treat_all"]["value"])


def test_a_model_that_knows_nothing_gains_nothing():
    generator = np.random.default_rng(0)
    found = net_benefit.curve(of(np.full(200, 0.3), generator.random(200) < 0.3), positive=["yes"], resamples=200)
    assert max(each["gain"]["value"] for each in found) <= 1e-12


def test_without_a_positive_row_every_treatment_is_a_loss_but_at_a_given_prevalence_nothing_is_known():
    healthy = of([0.1, 0.9, 0.2, 0.8], [0, 0, 0, 0])
    (point,) = net_benefit.curve(healthy, positive=["yes"], thresholds=[0.2], resamples=100)
    assert point["model"]["value"] == pytest.approx(-3 / 4 * 0.2 / 0.8)
    assert point["treat_all"]["value"] == pytest.approx(-0.2 / 0.8)
    assert point["gain"]["value"] == pytest.approx(-3 / 4 * 0.2 / 0.8) and point["model"]["low"] is not None
    (point,) = net_benefit.curve(healthy, positive=["yes"], prevalence=0.1, thresholds=[0.2], resamples=100)
    assert point["model"]["value"] is None
