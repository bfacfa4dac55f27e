import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from cervix_tf.federated.averaging import Update
from cervix_tf.federated.screening import Norms, Screening, norms, problem

BEFORE = [np.full((2, 50), 0.5, np.float32), np.zeros(3, np.float32), np.ones(3, np.float32)]
STATISTICS, VARIANCES = [1, 2], [2]


def update(name, step=0.3, statistics=0.1, examples=10, losses=(0.5,)):
    """An update that moves each trained weight by `step` and each moving statistic by `statistics`."""
    weights = [BEFORE[0] + np.float32(step), *(array + np.float32(statistics) for array in BEFORE[1:])]
    return Update(name, weights, examples, losses, 1.0)


def refused(updates, earlier=None, **settings):
    """Name -> reason, of those that are refused."""
    verdicts = Screening(STATISTICS, VARIANCES, **settings).judge(updates, BEFORE, earlier)
    return {name: verdict.reason for name, verdict in verdicts.items() if verdict.reason}


def test_norms_are_numpys_and_moving_statistics_are_apart():
    change = norms(update("a", 0.3, 2.0).weights, STATISTICS, BEFORE)
    assert change == pytest.approx((0.3 * 10, 2.0 * np.sqrt(6)), rel=1e-5)
    assert norms(BEFORE, STATISTICS) == pytest.approx((5.0, np.sqrt(3)), rel=1e-5)


def test_norms_beyond_what_float32_can_square_are_numbers_still():
    assert norms([np.full(4, 1e30, np.float32)], []) == pytest.approx((2e30, 0.0))
    assert np.isinf(norms([np.array([1.0, np.inf], np.float32)], []).weights)
    assert np.isnan(norms([np.array([1.0, np.nan], np.float32)], []).weights)


def test_updates_that_differ_as_honest_ones_do_all_pass():
    assert refused([update("a", 0.1), update("b", 0.3), update("c", 0.9), update("d", 0.0)]) == {}


@pytest.mark.parametrize("factor", [1e2, 1e6, 1e30])
def test_an_update_that_is_much_larger_than_the_others_is_refused_with_both_numbers(factor):
    (reason,) = refused([update("a"), update("b"), update("c"), update("x", 0.3 * factor)]).values()
    assert f"changes the weights by {3 * factor:.3g}, the others by 3 (median): more than 10 times as much" in reason


def test_statistics_are_compared_apart_so_that_large_ones_hide_nothing():
    calm = [update(name, 0.3, 1000.0) for name in "abc"]
    assert "changes the weights by" in refused([*calm, update("x", 30.0, 1000.0)])["x"]
    assert "changes the moving statistics by" in refused([*calm, update("x", 0.3, 1e6)])["x"]


def test_a_client_may_change_more_by_as_many_times_as_it_has_more_images():
    updates = [update("small", 0.2), update("other", 0.2), update("large", 4.0, examples=1000)]
    assert list(refused(updates)) == ["large"]
    sizes = {"small": 10, "other": 10, "large": 1000}
    assert refused(updates, sizes=sizes) == {}
    assert list(refused([updates[0], updates[1], update("large", 400.0, examples=1000)], sizes=sizes)) == ["large"]


def test_clients_that_hardly_move_any_more_are_no_measure_for_one_that_learns():
    assert refused([update("a", 1e-9), update("b", 1e-9), update("c", 0.04)]) == {}
    assert list(refused([update("a", 1e-9), update("b", 1e-9), update("c", 0.1)])) == ["c"]


def test_of_two_updates_it_cannot_be_told_which_is_wrong_so_both_are_refused():
    reasons = refused([update("a"), update("b", 3e6)])
    assert set(reasons) == {"a", "b"} and reasons["a"] == reasons["b"]
    assert reasons["a"].startswith("b changes the weights by 3e+07, the others by 3 ")
    assert reasons["a"].endswith("of two updates it cannot be told which is wrong, if any")
    assert refused([update("a"), update("b", 2.0)]) == {}


def test_a_single_update_is_measured_by_the_weights_it_started_from():
    assert refused([update("a", 4.0, 1e4)]) == {}, "statistics of another scale than the first ones are nothing odd"
    assert "by 100: more than 10 times (norm-bound) their own norm, 5" in refused([update("a", 10.0)])["a"]


def test_one_after_the_other_a_client_is_measured_by_what_the_last_ones_changed():
    earlier = {"a": Norms(3.0, 0.2), "b": Norms(4.0, 0.3), "c": Norms(5.0, 0.1)}
    assert refused([update("c", 1.0)], earlier) == {}
    assert "the others by 3.5 (median)" in refused([update("c", 4.0)], earlier)["c"]
    assert list(refused([update("c", 40.0)], {"a": Norms(3.0, 0.2)})) == ["c"], "the other one is handed on already"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (update("x", np.nan), "array 0 holds 100 values that are not finite"),
        (update("x", 0.1, -1.5), "array 2 holds 3 variances below 0, the lowest -0.5"),
        (update("x", examples=10**18), "says it has 1000000000000000000 training images, and is registered with 10"),
        (update("x", losses=(0.5, float("inf"))), "its loss is inf"),
        (Update("x", BEFORE[:2], 10, (0.5,), 1.0), "2 arrays instead of 3"),
    ],
)
def test_what_is_wrong_with_an_update_by_itself_is_said_and_it_is_no_measure_for_the_others(broken, reason):
    updates = [update("a"), broken, update("b")]
    assert refused(updates, sizes={"a": 10, "b": 10, "x": 10}) == {"x": reason}


def test_a_client_without_images_is_refused_also_where_sizes_are_not_registered():
    assert refused([update("a", examples=0), update("b")]) == {"a": "says it has 0 training images"}
    assert refused([update("a", examples=10**18), update("b")]) == {}


def test_a_bound_of_0_is_none_and_a_limit_holds_whatever_the_others_do():
    assert refused([update("a"), update("b"), update("c", 1e30)], bound=0.0) == {}
    reasons = refused([update("a"), update("b", 0.1)], bound=0.0, limit=2.0)
    assert reasons == {"a": "changes the weights by 3.01 although it is to clip to 2"}


@hypothesis.given(
    st.lists(st.floats(0.1, 0.9), min_size=3, max_size=9), st.sampled_from([11.0, 1e4, 1e30, np.nan, np.inf])
)
def test_one_liar_among_three_and_more_is_refused_alone(steps, factor):
    liar = update("x", factor * max(steps))
    assert list(refused([update(str(at), step) for at, step in enumerate(steps)] + [liar])) == ["x"]


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
    assert problem([like[0], like[1] - 1], like, [1]) == "array 1 holds 3 variances below 0, the lowest -1"
