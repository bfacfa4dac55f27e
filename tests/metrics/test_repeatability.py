"""Agreement of a case's several images, against statsmodels and by hand."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions, repeatability

CLASSES = ("normal", "low", "high")


def of(decisions, cases, groups=None):
    probabilities = 0.1 + 0.7 * np.eye(3)[decisions]
    ids = [str(at) for at in range(len(decisions))]
    return predictions.from_arrays(ids, probabilities, CLASSES, cases=cases, groups=groups)


def measured(found, resamples=100):
    return repeatability.summary(found, found.decisions, CLASSES, resamples=resamples)


@pytest.mark.parametrize("seed", range(3))
def test_kappa_of_as_many_images_a_case_is_fleiss(seed):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, 40)
    decisions = np.where(generator.random((40, 4)) < 0.7, truth[:, None], generator.integers(0, 3, (40, 4)))
    found = measured(of(decisions.ravel(), np.repeat([f"c{at}" for at in range(40)], 4)))
    table, _ = aggregate_raters(decisions, 3)
    assert found["metrics"]["kappa"]["value"] == pytest.approx(fleiss_kappa(table))
    both_ways = np.mean([len(set(row)) > 1 for row in decisions])
    assert found["metrics"]["share_of_cases_decided_both_ways"]["value"] == pytest.approx(both_ways)
    assert (found["cases"], found["images"]) == (40, 160)


def test_cases_of_one_image_are_left_out_and_groups_stand_in_for_cases():
    found = measured(of([0, 0, 1, 2, 2, 0], [""] * 6, ["a", "a", "b", "c", "c", "c"]))
    assert (found["cases"], found["images"]) == (2, 5)
    assert found["metrics"]["share_of_cases_decided_both_ways"]["value"] == 0.5


def test_always_the_same_is_no_certainty():
    found = measured(of([0, 0, 1, 1, 2, 2], ["a", "a", "b", "b", "c", "c"]))["metrics"]
    assert found["kappa"]["value"] == 1
    never = found["share_of_cases_decided_both_ways"]
    assert never["value"] == 0 and never["high"] == pytest.approx(1 - 0.025 ** (1 / 3))


def test_without_two_images_of_a_case_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="no case has two images"):
        measured(of([0, 1], ["a", "b"]))
