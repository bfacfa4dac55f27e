import numpy as np
import pytest

from cervix_tf.decision import OperatingPoint
from cervix_tf.export import parity, representative

REFERENCE = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
LABELS = np.array([0, 0, 1, -1])


def test_equal_probabilities_pass_every_gate():
    found = parity.compare(REFERENCE, REFERENCE, LABELS)
    assert (found.n, found.agreement, found.max_difference, found.mean_difference) == (4, 1.0, 0.0, 0.0)
    assert found.accuracy_change["value"] == 0
    assert found.widest_change == 0
    assert found.problems(max_drop=0, min_agreement=1) == []


def test_figures_by_hand():
    exported = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    found = parity.compare(REFERENCE, exported, LABELS)
    assert found.agreement == 0.5  # the second and the unlabeled fourth have changed
    assert found.max_difference == pytest.approx(0.4)
    assert found.widest_change == pytest.approx(0.4)  # of 0.2 and 0.4
    assert found.mean_difference == pytest.approx((2 * 0.2 + 2 * 0.4) / 8)
    assert found.accuracy_change["value"] == pytest.approx(-1 / 3)
    assert found.accuracy_change["n"] == 3
    drop, agreement = found.problems(max_drop=0, min_agreement=0.95)
    assert "accuracy changes by -33.3 points" in drop
    assert "more than --max-drop 0 allows" in drop
    assert "only 50.0 % of 4 decisions agree" in agreement
    assert found.problems(max_drop=1, min_agreement=0.5) == []


@pytest.mark.parametrize(("count", "lost", "most", "refused"), [
    (88, 1, 1, False), (88, 2, 1, True), (88, 1, 0, True), (88, 0, 0, False), (88, 2, 2.5, False),
    (300, 3, 1, False), (300, 4, 1, True), (300, 1, 0.1, False), (300, 2, 0.1, True),
])  # fmt: skip
def test_a_drop_is_of_more_than_one_decision(count, lost, most, refused):
    reference = np.tile([0.9, 0.1], (count, 1))
    exported = reference.copy()
    exported[:lost] = [0.1, 0.9]
    found = parity.compare(reference, exported, np.zeros(count, int))
    assert bool(found.problems(max_drop=most, min_agreement=0.9)) == refused


def test_a_gain_in_accuracy_is_no_drop():
    exported = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    found = parity.compare(REFERENCE[:, ::-1], exported, LABELS)
    assert found.accuracy_change["value"] == pytest.approx(1)
    assert len(found.problems(max_drop=1, min_agreement=0.95)) == 1  # only the agreement


def test_answers_that_are_no_numbers_are_wrong_answers():
    exported = REFERENCE.copy()
    exported[0] = np.nan
    found = parity.compare(REFERENCE, exported, LABELS)
    assert found.agreement == 0.75
    assert found.max_difference == 1
    assert found.accuracy_change["value"] == pytest.approx(-1 / 3)


def test_without_labels_there_is_no_accuracy_but_still_agreement():
    found = parity.compare(REFERENCE, REFERENCE[:, ::-1], np.full(4, -1))
    assert found.accuracy_change == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "method": "undefined: no labeled input",
    }
    assert len(found.problems(max_drop=1, min_agreement=0.95)) == 1


def test_the_interval_of_a_change_by_hand():
    # 50 pairs, 2 gained, 5 lost: with half a pair more in each cell b = 2.5, c = 5.5, n = 52.
    before = np.repeat([True, False, True, False], [5, 2, 30, 13])
    after = np.repeat([False, True, True, False], [5, 2, 30, 13])
    found = parity.paired_change(before, after)
    assert found["value"] == pytest.approx(-3 / 50)
    half = 1.959964 * (2.5 + 5.5 - 3**2 / 52) ** 0.5 / 52
    assert found["low"] == pytest.approx(-3 / 52 - half)
    assert found["high"] == pytest.approx(-3 / 52 + half)


def test_the_interval_of_a_change_holds_the_truth_as_often_as_it_says():
    rng, held, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        cell = rng.choice(4, size=120, p=[0.62, 0.05, 0.03, 0.30])  # both right, lost, gained, both wrong
        found = parity.paired_change((cell == 0) | (cell == 1), (cell == 0) | (cell == 2))
        held += found["low"] <= -0.02 <= found["high"]
    assert 0.92 <= held / trials <= 0.99


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="cannot compare"):
        parity.compare(REFERENCE, REFERENCE[:2], LABELS)


def test_calibration_inputs_are_balanced_and_repeatable():
    labels = np.repeat([0, 1, 2, -1], [500, 40, 3, 100])
    chosen = representative.balanced(labels, 43, seed=1)
    assert len(chosen) == len(set(chosen)) == 43
    assert np.bincount(labels[chosen]).tolist() == [20, 20, 3]
    assert chosen == representative.balanced(labels, 43, seed=1) != representative.balanced(labels, 43, seed=2)
    assert sorted(representative.balanced(labels[500:543], 1000, seed=0)) == list(range(43))


def test_calls_at_the_operating_point_are_counted_apart_from_the_most_probable_class():
    point = OperatingPoint("sensitivity:0.9", 0.25)
    exported = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.35, 0.65]])
    found = parity.compare(REFERENCE, exported, LABELS, point, [1])
    assert found.agreement == 1  # the second is called negative now, though normal stays the most probable class
    assert found.point_agreement == 0.75
    assert found.widest_point_change == pytest.approx(0.4 - 0.25)
    (problem,) = found.problems(max_drop=1, min_agreement=0.95)
    assert "only 75.0 % of 4 decisions agree at the operating point" in problem
    assert found.problems(max_drop=1, min_agreement=0.75) == []
    assert found.summary()["point_agreement"] == 0.75
    assert "point_agreement" not in parity.compare(REFERENCE, exported, LABELS).summary()


def test_an_answer_that_is_no_number_is_called_otherwise_on_either_side_of_the_threshold():
    exported = np.where(np.arange(4)[:, None] < 1, np.nan, REFERENCE)
    found = parity.compare(REFERENCE, exported, LABELS, OperatingPoint("youden", 0.5), [1])
    assert found.point_agreement == 0.75
