"""Agreement of a case's several images, against statsmodels and by hand."""

import itertools
import tracemalloc

import numpy as np
import pytest
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from cervix_tf.errors import InputError
from cervix_tf.metrics import confusion, predictions, repeatability

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
    assert [found["metrics"][name]["n"] for name in ("kappa", "share_of_cases_decided_both_ways")] == [160, 40]


def test_cases_of_one_image_are_left_out_and_groups_stand_in_for_cases():
    found = measured(of([0, 0, 1, 2, 2, 0], [""] * 6, ["a", "a", "b", "c", "c", "c"]))
    assert (found["cases"], found["images"]) == (2, 5)
    assert found["metrics"]["share_of_cases_decided_both_ways"]["value"] == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_kappa_of_unequally_many_images_is_that_of_every_pair_of_images(seed):
    generator = np.random.default_rng(seed)
    cases = np.repeat([f"c{at}" for at in range(12)], generator.integers(1, 7, 12))
    decisions = generator.integers(0, 3, len(cases))
    pairs = np.zeros((3, 3))
    for case in set(cases):
        images = decisions[cases == case]
        for one, other in itertools.permutations(images, 2):
            pairs[one, other] += 1 / (len(images) - 1)
    found = measured(of(decisions, cases))["metrics"]["kappa"]
    assert found["value"] == pytest.approx(float(confusion.kappa(pairs)))


def test_cases_of_hundreds_of_images_need_no_memory_for_their_pairs():
    decisions = np.random.default_rng(0).integers(0, 3, 2000)
    found = of(decisions, np.repeat(["a", "b", "c", "d"], 500))
    tracemalloc.start()
    measured(found, resamples=2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20e6  # a million pairs would need hundreds


def test_always_the_same_is_no_certainty():
    found = measured(of([0, 0, 1, 1, 2, 2], ["a", "a", "b", "b", "c", "c"]))["metrics"]
    assert found["kappa"]["value"] == 1
    never = found["share_of_cases_decided_both_ways"]
    assert never["value"] == 0 and never["high"] == pytest.approx(1 - 0.025 ** (1 / 3))
    assert never["method"] == "Clopper-Pearson 95%"  # each case is of another woman
    women = ["ann", "ann", "ann", "ann", "beth", "beth"]
    found = measured(of([0, 0, 1, 1, 2, 2], ["a", "a", "b", "b", "c", "c"], women))
    never = found["metrics"]["share_of_cases_decided_both_ways"]
    assert never["high"] == pytest.approx(1 - 0.025 ** (1 / 2))
    assert never["method"] == "Clopper-Pearson 95% of 2 groups: all rows agree"


def test_cases_that_share_a_name_across_women_are_refused():
    with pytest.raises(InputError, match=r"case 'visit 1': its rows have several values of group \('ann', 'beth'\)"):
        measured(of([0, 1, 0], ["visit 1", "visit 1", "visit 2"], ["ann", "beth", "ann"]))


def test_without_two_images_of_a_case_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="no case has two images"):
        measured(of([0, 1], ["a", "b"]))
