"""Differences between strata: by hand, in simulation, and what is not stated."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from cervix_tf.metrics import predictions
from cervix_tf.metrics.strata_differences import FEWEST_GROUPS, differences

CLASSES = ("normal", "cancer")


def of(score, cancer, groups, **columns):
    """Rows with a score of cancer, (rows,), and whether they are."""
    score = np.asarray(score, float)
    return predictions.from_arrays(
        [f"row{at}" for at in range(len(score))],
        np.stack([1 - score, score], 1),
        CLASSES,
        labels=[CLASSES[int(each)] for each in cancer],
        groups=groups,
        **columns,
    )


def decided(right, groups, **columns):
    """Rows of cancer that are found, or not."""
    return of(np.where(right, 0.9, 0.1), np.ones(len(right)), groups, **columns)


def women(count):
    return [f"w{at}" for at in range(count)]


def accuracy(found, by="site"):
    (pair,) = found[by]
    return pair["metrics"]["accuracy"]


def test_two_sites_differ_by_the_difference_of_their_shares_and_are_compared_once():
    right = np.r_[np.arange(40) < 32, np.arange(40) < 20]
    found = differences(decided(right, women(80), sites=["A"] * 40 + ["B"] * 40), ["site"])
    assert [(pair["stratum"], pair["against"]) for pair in found["site"]] == [("A", "B")]
    measured = accuracy(found)
    assert measured["value"] == pytest.approx(0.8 - 0.5)
    error = (0.8 * 0.2 / 40 + 0.5 * 0.5 / 40) ** 0.5  # of two independent shares
    assert measured["low"] == pytest.approx(0.3 - 1.96 * error, abs=0.03)
    assert measured["high"] == pytest.approx(0.3 + 1.96 * error, abs=0.03)
    assert measured["n"] == 80 and "0 groups are on both sides" in measured["method"]


def test_of_three_each_is_compared_with_the_others_and_the_unknown_with_nobody():
    right = np.r_[np.ones(30), np.arange(30) < 15, np.arange(30) < 15, np.zeros(9)].astype(bool)
    sites = ["A"] * 30 + ["B"] * 30 + ["C"] * 30 + [""] * 9
    found = differences(decided(right, women(99), sites=sites), ["site"], resamples=200)["site"]
    assert [(pair["stratum"], pair["against"]) for pair in found] == [(name, "the others") for name in "ABC"]
    values = [pair["metrics"]["accuracy"]["value"] for pair in found]
    assert values == pytest.approx([1 - 0.5, 0.5 - 0.75, 0.5 - 0.75])
    assert found[0]["metrics"]["accuracy"]["n"] == 90


def test_sensitivity_specificity_and_auc_are_those_of_the_operating_point():
    generator = np.random.default_rng(0)
    cancer = np.arange(120) % 2 == 1
    score = np.clip(0.3 + 0.2 * cancer + 0.15 * generator.normal(size=120), 0, 1)
    sites = np.where(np.arange(120) < 60, "A", "B")
    whole = of(score, cancer, women(120), sites=sites)
    found = differences(whole, ["site"], positive=["cancer"], threshold=0.4, resamples=200)["site"][0]["metrics"]
    called = score >= 0.4

    def share(hits, of_rows):
        return [hits[of_rows & (sites == site)].mean() for site in "AB"]

    def area(site):
        ill, well = score[cancer & (sites == site)], score[~cancer & (sites == site)]
        return np.mean([(one > other) + 0.5 * (one == other) for one in ill for other in well])

    for name, (one, other) in {
        "sensitivity": share(called, cancer),
        "specificity": share(~called, ~cancer),
        "auc": (area("A"), area("B")),
    }.items():
        assert found[name]["value"] == pytest.approx(one - other)
    assert found["sensitivity"]["n"] == 60 and found["auc"]["n"] == 120


def test_too_few_women_on_one_side_give_no_difference():
    few = FEWEST_GROUPS - 1
    right = np.arange(few + 50) % 3 > 0
    found = accuracy(differences(decided(right, women(few + 50), sites=["A"] * few + ["B"] * 50), ["site"]))
    assert found["value"] is None and found["p"] is found["p_holm"] is None
    assert found["method"] == "undefined: too few: 19 and 50 groups, 20 on each side are needed"
    many_images = [f"w{at % few}" for at in range(200)] + women(250)[200:]
    found = differences(
        decided(np.arange(250) % 3 > 0, many_images, sites=["A"] * 200 + ["B"] * 50), ["site"], resamples=100
    )
    assert accuracy(found)["value"] is None  # images do not make up for women


def test_women_in_both_strata_are_compared_with_themselves():
    generator = np.random.default_rng(1)
    easy = generator.random(60) < 0.6
    other = np.where(generator.random(60) < 0.1, ~easy, easy)  # the other view is decided alike, mostly
    right, views = np.r_[easy, other], ["green"] * 60 + ["iodine"] * 60
    paired = accuracy(differences(decided(right, women(60) * 2, views=views), ["view"]), "view")
    apart = accuracy(differences(decided(right, women(120), views=views), ["view"]), "view")
    assert "60 groups are on both sides" in paired["method"]
    assert paired["high"] - paired["low"] < 0.6 * (apart["high"] - apart["low"])


def test_women_in_both_strata_are_counted_among_the_rows_that_a_metric_is_of():
    cancer = np.tile(np.arange(60) < 25, 2)  # the same 60 women in both views: 25 with cancer, 35 without
    score = np.clip(0.5 + 0.2 * np.random.default_rng(5).normal(size=120), 0, 1)
    whole = of(score, cancer, women(60) * 2, views=["green"] * 60 + ["iodine"] * 60)
    found = differences(whole, ["view"], positive=["cancer"], resamples=100)["view"][0]["metrics"]
    both = {name: measured["method"].rpartition("; ")[2] for name, measured in found.items()}
    assert both == {
        name: f"{count} groups are on both sides"
        for name, count in (("accuracy", 60), ("sensitivity", 25), ("specificity", 35), ("auc", 60))
    }


def test_a_side_without_an_error_is_not_taken_for_certain():
    right = np.r_[np.ones(25), np.arange(200) < 198].astype(bool)
    found = accuracy(differences(decided(right, women(225), sites=["A"] * 25 + ["B"] * 200), ["site"]))
    assert found["value"] == pytest.approx(0.01)
    assert found["low"] < -0.1 and found["p"] > 0.3  # 25 of 25 may be 0.86 (Clopper-Pearson)


def test_p_values_are_paid_for_all_differences_together():
    generator = np.random.default_rng(2)
    sites, views = generator.choice(list("ABC"), 300), generator.choice(["green", "iodine"], 300)
    right = generator.random(300) < np.where(sites == "A", 0.6, 0.8)
    found = differences(
        decided(right, women(300), sites=sites, views=views, ages=generator.uniform(20, 60, 300)),
        ["site", "view", "age"],
        resamples=500,
    )
    every = [pair["metrics"]["accuracy"] for pairs in found.values() for pair in pairs]
    assert len(every) == 3 + 1 + 3
    expected = multipletests([each["p"] for each in every], method="holm")[1]
    assert [each["p_holm"] for each in every] == pytest.approx(expected)


def test_one_stratum_alone_has_nothing_to_differ_from():
    assert differences(decided(np.ones(30, bool), women(30), sites=["A"] * 30), ["site"]) == {"site": []}


@pytest.mark.parametrize("both", [False, True], ids=["women of two sites", "women in two views"])
def test_intervals_hold_the_truth_and_equal_strata_seldom_differ(both):
    """Three images a woman in a stratum, decided alike more often than chance."""
    generator, held, called, draws = np.random.default_rng(3), 0, 0, 400
    for at in range(draws):
        skill = generator.normal(1, 1, 50 if both else 100)
        woman = np.tile(np.repeat(np.arange(50), 3), 2) if both else np.repeat(np.arange(100), 3)
        stratum = np.repeat(["green", "iodine"], 150)
        right = generator.random(300) < 1 / (1 + np.exp(-skill[woman]))
        found = differences(
            decided(right, [f"w{each}" for each in woman], views=stratum), ["view"], resamples=400, seed=at
        )
        measured = accuracy(found, "view")
        held += measured["low"] <= 0 <= measured["high"]
        called += measured["p"] < 0.05
    assert 0.92 <= held / draws <= 0.99
    assert called / draws <= 0.08


def test_of_many_equal_strata_one_is_seldom_called_different():
    generator, wrongly, draws = np.random.default_rng(4), 0, 120
    for at in range(draws):
        sites = generator.choice(list("ABCDE"), 250)
        right = generator.random(250) < 0.8
        found = differences(decided(right, women(250), sites=sites), ["site"], resamples=400, seed=at)["site"]
        wrongly += min(pair["metrics"]["accuracy"]["p_holm"] for pair in found) < 0.05
    assert wrongly / draws <= 0.1
