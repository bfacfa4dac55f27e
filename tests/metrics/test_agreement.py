import math

import numpy as np

from cervix_tf.metrics import predictions
from cervix_tf.metrics.agreement import agreement
from cervix_tf.metrics.intervals import clopper_pearson
from cervix_tf.metrics.means import means

CLASSES = ("control", "case")


def judged(decisions, groups=None):
    ids = [f"id {at}" for at in range(len(decisions))]
    return predictions.from_arrays(ids, np.eye(2)[decisions], CLASSES, groups=groups)


def test_agreement_counts_cells_and_kappa_by_hand():
    ours, second = judged([0, 0, 0, 1, 1, 1, 1, 1]), judged([0, 0, 1, 1, 1, 1, 0, 0])
    found = agreement(ours, second, seed=0)
    assert [found[cell].value for cell in ("00", "01", "10", "11", "same")] == [0.25, 0.25, 0.125, 0.375, 0.625]
    agreed, by_chance = 5 / 8, (3 * 4 + 5 * 4) / 64
    assert math.isclose(found["kappa"].value, (agreed - by_chance) / (1 - by_chance))
    assert found["00"].method == "Clopper-Pearson 95%"


def test_kappa_of_readers_who_always_say_one_class_is_undefined_with_its_reason():
    found = agreement(judged([1, 1, 1]), judged([1, 1, 1]), seed=0)
    assert found["same"].value == 1.0
    assert found["kappa"].value is None and "one class" in found["kappa"].method


def test_means_of_shares_are_exact_alone_and_resampled_by_group_together():
    values = np.repeat([1.0, 0.0], 10)
    everywhere = np.ones(20, dtype=bool)
    alone = means({"all": (values, everywhere)}, np.array([f"g{at}" for at in range(20)], object), seed=0)["all"]
    together = means({"all": (values, everywhere)}, np.array([f"g{at // 5}" for at in range(20)], object), seed=0)[
        "all"
    ]
    assert alone.value == together.value == 0.5
    assert alone.method == "Clopper-Pearson 95%" and "4 groups" in together.method
    assert together.high - together.low > alone.high - alone.low


def test_means_of_shares_of_grouped_rows_are_no_narrower_than_exact_ones():
    values = np.r_[np.tile(np.arange(8) < 6, 19), np.arange(8) < 7].astype(float)  # 20 women who hardly differ
    groups, everywhere = np.repeat([f"w{at}" for at in range(20)], 8).astype(object), np.ones(160, bool)
    found = means({"right": (values, everywhere), "half": (values / 2, everywhere)}, groups, seed=0)
    exact = clopper_pearson(121, 160)
    assert (found["right"].low, found["right"].high) == (exact.low, exact.high)
    assert found["half"].high - found["half"].low < 0.1 * (exact.high - exact.low)  # no share: the bootstrap's own
    found = means({"right": (np.ones(160), everywhere)}, groups, seed=0)["right"]
    assert found.low == clopper_pearson(20, 20).low


def test_a_mean_of_no_rows_is_undefined():
    none = np.zeros(3, dtype=bool)
    found = means({"none": (np.ones(3), none)}, np.array(["a", "b", "c"], object), seed=0)["none"]
    assert found.value is None and found.n == 0
