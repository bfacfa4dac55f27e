import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from cervix_tf.federated.averaging import Update, average, problem

FINITE = st.floats(-(2.0**60), 2.0**60, width=32)


def updates(stack, examples=None):
    """One update a row of each array; names in the order of the rows."""
    count = len(stack[0])
    examples = examples or [1] * count
    return [Update(f"{at:03d}", [array[at] for array in stack], examples[at], (), 0.0) for at in range(count)]


@hypothesis.given(some.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 20)), elements=FINITE))
def test_the_plain_average_is_numpys_mean_to_one_unit_in_the_last_place(stack):
    mean = stack.mean(axis=0, dtype=np.float64).astype(np.float32)
    (found,) = average(updates([stack]))
    assert found.dtype == np.float32
    np.testing.assert_array_max_ulp(found, mean, 1)


@hypothesis.given(
    some.arrays(np.float32, (5, 7), elements=FINITE),
    st.lists(st.integers(1, 10**6), min_size=5, max_size=5),
    st.permutations(range(5)),
)
def test_the_order_in_which_updates_arrive_changes_nothing(stack, examples, order):
    arrived = updates([stack], examples)
    shuffled = [arrived[at] for at in order]
    for weighting in ("plain", "by_size"):
        assert np.array_equal(average(arrived, weighting)[0], average(shuffled, weighting)[0])


@hypothesis.given(some.arrays(np.float32, 9, elements=FINITE), st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
def test_the_average_of_equal_weights_is_these_weights(array, examples):
    same = updates([np.stack([array] * len(examples))], examples)
    assert np.array_equal(average(same)[0], array)
    assert np.array_equal(average(same, "by_size")[0], array)


def test_an_average_by_size_counts_a_client_once_for_each_of_its_images():
    found = average(updates([np.array([[1.0], [4.0]], np.float32)], [2, 1]), "by_size")
    assert found[0] == pytest.approx(2.0)


def test_whole_numbers_stay_whole():
    (found,) = average(updates([np.array([[1], [2], [2]], np.int64)]))
    assert (found.dtype, found.tolist()) == (np.int64, [2])


def test_nothing_cannot_be_averaged():
    with pytest.raises(ValueError, match="no update"):
        average([])
    with pytest.raises(ValueError, match="that have images"):
        average(updates([np.ones((1, 1))], [0]), "by_size")


def test_weights_that_fit_have_no_problem_and_others_are_told_what_is_wrong():
    like = [np.zeros((2, 3), np.float32), np.zeros(3, np.float32)]
    spoilt = np.ones(3, np.float32)
    spoilt[1] = np.nan
    assert problem([array + 1 for array in like], like) == ""
    assert problem(like[:1], like) == "1 arrays instead of 2"
    assert problem([like[0].T, like[1]], like) == "array 0 has the shape (3, 2) instead of (2, 3)"
    assert problem([like[0], np.zeros(3)], like) == "array 1 is float64 instead of float32"
    assert problem([like[0], spoilt], like) == "array 1 holds 1 values that are not finite"
    assert problem([like[0], np.full(3, np.inf, np.float32)], like) == "array 1 holds 3 values that are not finite"
