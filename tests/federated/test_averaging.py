import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from cervix_tf.federated.averaging import Update, average

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


def test_a_negative_zero_stays_one_and_large_arrays_are_averaged_throughout():
    (found,) = average(updates([np.full((2, 1), -0.0, np.float32)]))
    assert np.signbit(found[0])
    large = np.random.default_rng(0).normal(size=(3, 100_003)).astype(np.float32)
    (found,) = average(updates([large], [1, 2, 3]), "by_size")
    expected = (large.astype(np.float64) * [[1], [2], [3]]).sum(axis=0) / 6
    np.testing.assert_array_max_ulp(found, expected.astype(np.float32), 1)


def test_whole_numbers_stay_whole():
    (found,) = average(updates([np.array([[1], [2], [2]], np.int64)]))
    assert (found.dtype, found.tolist()) == (np.int64, [2])


def test_nothing_cannot_be_averaged():
    with pytest.raises(ValueError, match="no update"):
        average([])
    with pytest.raises(ValueError, match="that have images"):
        average(updates([np.ones((1, 1))], [0]), "by_size")
