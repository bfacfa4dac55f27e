import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cervix_tf.metrics import intervals

# Pal et al. 2021, Table 7: rows of the predicted class, rows in all, and the interval in percent as printed.
PRINTED = [
    (71, 85, 73.9, 90.7),
    (14, 85, 9.3, 26.1),
    (1392, 8174, 16.2, 17.9),
    (6782, 8174, 82.1, 83.8),
    (1213, 8174, 14.1, 15.6),
    (6961, 8174, 84.4, 85.9),
    (15, 19, 54.4, 93.9),
    (4, 19, 6.1, 45.6),
    (212, 924, 20.3, 25.8),
    (712, 924, 74.2, 79.7),
    (14, 19, 48.8, 90.9),
    (5, 19, 9.1, 51.2),
    (220, 924, 21.1, 26.7),
    (704, 924, 73.3, 78.9),
    (43, 45, 84.9, 99.5),
    (2, 45, 0.5, 15.1),
    (800, 5010, 15.0, 17.0),
    (4210, 5010, 83.0, 85.0),
    (41, 45, 78.8, 97.5),
    (4, 45, 2.5, 21.2),
    (692, 5010, 12.9, 14.8),
    (4318, 5010, 85.2, 87.1),
    (12, 20, 36.1, 80.9),
    (8, 20, 19.1, 63.9),
    (380, 2232, 15.5, 18.6),
    (1852, 2232, 81.4, 84.5),
    (15, 20, 50.9, 91.3),
    (5, 20, 8.7, 49.1),
    (301, 2232, 12.1, 15.0),
    (1931, 2232, 85.0, 87.9),
]


@pytest.mark.parametrize(("successes", "n", "low", "high"), PRINTED)
def test_clopper_pearson_is_the_interval_printed_in_table_7(successes, n, low, high):
    found = intervals.clopper_pearson(successes, n)
    assert (f"{100 * found.low:.1f}", f"{100 * found.high:.1f}") == (f"{low:.1f}", f"{high:.1f}")


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=500, deadline=None)
def test_binomial_intervals_equal_statsmodels(case):
    successes, n = case
    for ours, method in ((intervals.clopper_pearson, "beta"), (intervals.wilson, "wilson")):
        found = ours(successes, n)
        low, high = proportion_confint(successes, n, alpha=0.05, method=method)
        assert found.value == successes / n
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-7)


def test_no_rows_give_no_proportion():
    found = intervals.wilson(0, 0)
    assert (found.value, found.low, found.high, found.n, found.method) == (
        None,
        None,
        None,
        0,
        "undefined: no rows",
    )


def test_every_resample_draws_as_many_groups_as_there_are():
    drawn = intervals.resampled_groups(7, 400, np.random.default_rng(0))
    assert drawn.shape == (400, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.2)


def test_resamples_are_those_of_the_generator_counted_one_by_one():
    drawn = intervals.resampled_groups(5, 30, np.random.default_rng(2))
    picked = np.random.default_rng(2).integers(0, 5, size=(30, 5))
    assert drawn.tolist() == [[list(row).count(group) for group in range(5)] for row in picked]


def test_all_rows_of_a_group_are_drawn_together_whatever_their_order():
    groups = ["b", "a", "b", "c", "a"]
    seen = []

    def statistics(weights):
        seen.append(weights)
        return {"rows": weights.sum(1)}

    intervals.cluster_bootstrap(groups, statistics, resamples=50)
    weights = np.concatenate(seen)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert len(np.unique(weights[:, 0] - weights[:, 1])) > 1


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    values = np.arange(30.0)

    def mean(weights):
        return {"mean": weights @ values / weights.sum(1)}

    first, again, other = (
        intervals.cluster_bootstrap(np.arange(30), mean, resamples=100, seed=seed)["mean"] for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_bootstrap_of_a_mean_agrees_with_scipy():
    values = np.random.default_rng(3).normal(size=80)
    draws = intervals.cluster_bootstrap(
        np.arange(80), lambda weights: {"mean": weights @ values / weights.sum(1)}, resamples=20000
    )["mean"]
    found = intervals.percentile(values.mean(), draws, 80, 80, 80)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=5).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.012)
    assert found.method == "bootstrap 95%, 80 rows, 20000 resamples"


def test_undefined_draws_are_left_out_and_counted():
    draws = np.r_[np.full(10, np.nan), np.linspace(0, 1, 90)]
    found = intervals.percentile(0.5, draws, 60, 30, 60)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert found.method == "cluster bootstrap 95%, 30 groups, 100 resamples (10 undefined, left out)"


def test_draws_that_never_vary_give_no_interval():
    found = intervals.percentile(1.0, np.ones(100), 60, 30, 60)
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert "the same in over 95% of the resamples" in found.method


def test_one_group_gives_no_interval_and_few_groups_a_warning():
    assert "one group" in intervals.percentile(0.5, np.linspace(0, 1, 9), 60, 1, 60).method
    assert "too narrow" in intervals.percentile(0.5, np.linspace(0, 1, 9), 60, 8, 60).method


@pytest.mark.parametrize("value", [1 + 2e-16, 1 - 1e-16])
def test_a_share_that_all_rows_agree_on_but_for_rounding_counts_each_group_once(value):
    found = intervals.weighted_share(value, np.full(100, value), 60, 20, 60)
    assert (found.value, found.low) == (1.0, intervals.clopper_pearson(20, 20).low)


def test_a_share_of_independent_rows_is_binomial_whatever_was_drawn():
    hits, groups = np.arange(20) < 7, np.array([f"g{at}" for at in range(20)], object)
    for binomial in (intervals.clopper_pearson, intervals.wilson):
        assert intervals.share(hits, groups, np.empty(0), binomial) == binomial(7, 20)
    assert intervals.share(hits[:0], groups[:0], np.empty(0)).method == "undefined: no rows"


def test_a_share_of_groups_that_hardly_differ_is_never_narrower_than_that_of_independent_rows():
    hits = np.r_[np.tile(np.arange(8) < 6, 19), np.arange(8) < 7]  # of 20 women, 19 have 6 of 8 right and one has 7
    groups = np.repeat([f"w{at}" for at in range(20)], 8).astype(object)
    draws = intervals.cluster_bootstrap(groups, lambda weights: {"": weights @ hits / weights.sum(1)})[""]
    found = intervals.share(hits, groups, draws, intervals.wilson)
    p, n, z = 121 / 160, 160, 1.959964  # Wilson's interval by hand
    center, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    ends = (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    assert (found.low, found.high) == pytest.approx(ends)
    assert draws.min() > found.low and draws.max() < found.high
    assert found.method == "cluster bootstrap 95%, 20 groups, 2000 resamples; at least that of independent rows"


def test_a_share_on_which_nearly_independent_rows_agree_is_no_narrower_either():
    groups = np.array(["w0", *(f"w{at}" for at in range(79))], object)  # one woman of two images, 78 of one
    found = intervals.share(np.ones(80, bool), groups, np.ones(9), intervals.wilson)
    assert found.low == pytest.approx(80 / (80 + 1.959964**2))  # Wilson's; 0.025 ** (1 / 79) is higher
    assert "79 groups: all rows agree; at least" in found.method


def test_a_difference_of_two_sides_on_which_all_rows_agree_is_not_certain():
    ones = np.ones(20_000)
    found = intervals.independent_difference((1.0, 1.0), (ones, ones), (20, 20), 40)
    alone = 1 - intervals.clopper_pearson(20, 20).low
    assert found.high == pytest.approx(-found.low, abs=0.01)
    assert 0.7 * alone < found.high < alone  # less than adding both ends
    wider = intervals.independent_difference((1.0, 0.5), (ones, np.linspace(0.4, 0.6, 20_000)), (20, 20), 40)
    assert wider.low < 0.5 - 0.1 - 0.02 and wider.high < 0.6


def test_a_difference_of_a_side_that_is_one_group_has_no_interval():
    found = intervals.independent_difference((0.8, 0.6), (np.full(9, 0.8), np.linspace(0, 1, 9)), (1, 30), 60)
    assert (found.value, found.low) == (pytest.approx(0.2), None)
    assert found.method == "no interval: a side is one group only"


def test_cluster_bootstrap_covers_the_true_accuracy_of_correlated_images_and_the_naive_interval_does_not():
    # 300 studies of 80 women with 6 images; a woman's own accuracy is Beta-distributed around 0.8
    # (correlation of her images 1 / (2 + 0.5 + 1) = 0.29), so 0.8 is the truth for the next woman's image.
    women, images, trials, truth = 80, 6, 300, 0.8
    generator = np.random.default_rng(20240611)
    correct = generator.binomial(1, generator.beta(2.0, 0.5, (trials, women))[..., None], (trials, women, images))
    groups = np.repeat(np.arange(women), images)
    covered = naive = 0
    for trial in correct.reshape(trials, -1).astype(float):
        draws = intervals.cluster_bootstrap(
            groups,
            lambda weights, hit=trial: {"accuracy": weights @ hit / weights.sum(1)},
            resamples=500,
            seed=1,
        )["accuracy"]
        ours = intervals.percentile(trial.mean(), draws, len(trial), women, len(trial))
        plain = intervals.wilson(int(trial.sum()), len(trial))
        covered += ours.low <= truth <= ours.high
        naive += plain.low <= truth <= plain.high
    assert 0.92 <= covered / trials <= 0.98, covered / trials
    assert naive / trials < 0.85, naive / trials
    print(covered / trials, naive / trials)
