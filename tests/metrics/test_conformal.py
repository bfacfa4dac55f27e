"""Prediction sets keep their promise for women, however many images each has, and agree with crepes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, conformal, predictions, uncertainty

ORACLE = json.loads((Path(__file__).parent.parent / "oracles" / "decisions.json").read_text())["conformal"]
CLASSES = ("a", "b", "c")


def of(probabilities, labels, groups=None, prefix="row"):
    ids = [f"{prefix}{at}" for at in range(len(labels))]
    return predictions.from_arrays(ids, probabilities, CLASSES, labels=[CLASSES[at] for at in labels], groups=groups)


@pytest.mark.parametrize("error", [0.05, 0.1, 0.15, 0.3])
@pytest.mark.parametrize(("name", "by_class"), [("whole", False), ("by_class", True)])
def test_sets_of_independent_rows_hold_the_classes_whose_p_value_in_crepes_is_above_the_error(name, by_class, error):
    limits = conformal.bounds(of(ORACLE["calibration"], ORACLE["labels"]), error, by_class=by_class)
    expected = np.array(ORACLE["p_values"][name]) > error + 1e-9
    np.testing.assert_array_equal(conformal.sets(np.array(ORACLE["test"]), limits), expected)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.3]))
def test_the_bound_is_the_smallest_score_that_enough_women_stay_below(seed, error):
    generator = np.random.default_rng(seed)
    women = [generator.integers(0, 20, generator.integers(1, 6)) / 20 for _ in range(generator.integers(1, 40))]
    scores, groups = np.concatenate(women), np.repeat([f"w{at}" for at in range(len(women))], list(map(len, women)))
    found = conformal.quantile(scores, conformal.group_weights(groups), error)
    enough = [
        bound
        for bound in np.unique(scores)
        if sum(np.mean(each <= bound) for each in women) >= (1 - error) * (len(women) + 1) - 1e-9
    ]
    assert found == (min(enough) if enough else np.inf)


def test_coverage_of_a_new_woman_is_nominal_with_correlated_images_and_that_of_naive_sets_is_not():
    generator = np.random.default_rng(0)
    draws, women, error = 500, 99, 0.1
    covered = {"women": [], "images": []}
    for _ in range(draws):
        hard = generator.normal(size=women)
        count = np.where(hard > 0.5, 1, 8)  # whoever is easily photographed has many images, and easy ones
        member = np.repeat(np.arange(women), count)
        scores = hard[member] + 0.3 * generator.normal(size=len(member))
        new = generator.normal(size=2000) + 0.3 * generator.normal(size=2000)
        of_women = conformal.quantile(scores, conformal.group_weights(member.astype(str)), error)
        of_images = conformal.quantile(scores, np.ones(len(scores)), error)
        covered["women"].append(np.mean(new <= of_women))
        covered["images"].append(np.mean(new <= of_images))
    assert np.mean(covered["women"]) == pytest.approx(0.9, abs=0.01)
    assert np.mean(covered["images"]) < 0.8


def test_too_few_women_of_a_class_put_it_into_every_set():
    rows = np.full((8, 3), 1 / 3)
    limits = conformal.bounds(of(rows, [0] * 8, groups=["w1"] * 4 + ["w2"] * 4), 0.1)
    assert np.isinf(limits).all() and conformal.sets(rows, limits).all()


def test_coverage_and_size_count_each_woman_once():
    validation = of(np.repeat([[0.6, 0.3, 0.1]], 20, 0), [0] * 20, prefix="v")
    rows = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1]])
    found = conformal.summary(of(rows, [0] * 4, groups=["w1", "w2", "w2", "w2"]), validation, 0.1, resamples=100)
    assert found["overall"]["coverage"]["value"] == pytest.approx(0.5)  # one woman of two, one image of four
    assert found["bounds"] == {"a": pytest.approx(0.4), "b": None, "c": None}
    assert found["per_class"]["b"]["coverage"]["value"] is None
    with pytest.raises(InputError, match="share 20 groups"):
        conformal.summary(validation, validation, 0.1)


def test_full_coverage_of_women_with_several_images_counts_each_woman_once():
    counts = np.random.default_rng(1).integers(1, 8, 25)  # votes of 1/2, 1/3, ... do not sum to a whole number
    groups = [f"woman {at}" for at in np.repeat(np.arange(25), counts)]
    labels = np.arange(len(groups)) % len(CLASSES)
    tested = of(np.eye(len(CLASSES))[labels], labels, groups)
    validation = of(np.full((60, len(CLASSES)), 1 / len(CLASSES)), np.arange(60) % len(CLASSES), prefix="other")
    found = conformal.summary(tested, validation, 0.1, resamples=50)["overall"]["coverage"]
    assert (found["value"], found["high"]) == (1.0, 1.0)
    assert found["method"] == "Clopper-Pearson 95% of 25 groups: all rows agree"


@pytest.mark.parametrize("images", [1, 8])
def test_without_deferral_the_error_is_as_uncertain_as_the_accuracy(images):
    labels = np.r_[np.tile(np.arange(8) < 6, 19), np.arange(8) < 7].astype(int)  # groups of 8 hardly differ
    tested = of(np.tile([[0.3, 0.6, 0.1]], (160, 1)), labels, [f"w{at // images}" for at in range(160)])
    error = conformal.deferral(tested)[0]["error"]
    accuracy = classification.summary(tested)["metrics"]["accuracy"]
    assert (error["low"], error["high"]) == pytest.approx((1 - accuracy["high"], 1 - accuracy["low"]))
    alone = uncertainty.summary({"single": [tested]})["methods"][0]["error"]
    assert (alone["low"], alone["high"], alone["method"]) == (error["low"], error["high"], error["method"])


def test_deferring_the_least_sure_leaves_fewer_errors_where_doubt_is_honest():
    generator = np.random.default_rng(1)
    sure = generator.uniform(0.4, 1, 400)
    rows = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)
    labels = np.where(generator.random(400) < sure, 0, 1)
    found = conformal.deferral(of(rows, labels), resamples=100)
    half = np.argsort(-sure)[:200]
    assert [each["n"] for each in found][::5] == [400, 200]
    assert found[-1]["error"]["value"] == pytest.approx((labels[half] != 0).mean())
    assert found[-1]["error"]["high"] < found[0]["error"]["value"]
