"""Samplers: who meets in a batch, how often each image is drawn, and that groups stay apart."""

import functools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cervix_tf.data import samplers
from cervix_tf.data.inputs import ROW_COLUMNS, Inputs
from cervix_tf.errors import InputError

CLASSES = ("control", "case", "unsure")
IMAGES = (40, 24, 17)
"""A class each; the images of women k have 1, 2, 3, 1, 2, 3 ... pictures."""


def women(images=IMAGES, sizes=(1, 2, 3)):
    """Inputs of three classes and two unlabeled images; the group is a woman of one class."""
    rows, labels = [], []
    for label, count in enumerate(images):
        owners = np.repeat(np.arange(count), np.resize(sizes, count))[:count]
        rows += [{"group": f"{label}-{owner}"} for owner in owners]
        labels += [label] * count
    rows += [{"group": "other"}, {"group": "0-0"}]
    labels += [-1, -1]
    table = pd.DataFrame([dict.fromkeys(ROW_COLUMNS, "") | {"id": str(at)} | row for at, row in enumerate(rows)])
    return Inputs(tuple((str(at),) for at in range(len(rows))), np.array(labels, np.int32), table, CLASSES)


def rng(seed=0):
    return np.random.default_rng(seed)


def groups(inputs, positions):
    return inputs.rows["group"].to_numpy()[positions]


def chance(drawn, inputs):
    """The chi-square test's smallest p over classes that every image of a class is equally likely."""
    counts = np.bincount(drawn.ravel(), minlength=len(inputs))
    assert not counts[inputs.labels < 0].any()
    return min(scipy.stats.chisquare(counts[inputs.labels == label]).pvalue for label in range(3))


P_BY_S = functools.partial(samplers.p_by_s, classes=2, images=4)
PAIRS = functools.partial(samplers.pairs, pairs=16)
N_PAIRS = functools.partial(samplers.n_pairs, classes=3, tuplets=2)
ALL = pytest.mark.parametrize("sampler", [P_BY_S, PAIRS, N_PAIRS], ids=["p_by_s", "pairs", "n_pairs"])


@ALL
@pytest.mark.parametrize("same_group", [False, True])
def test_a_million_draws_hit_every_image_of_a_class_equally_often(sampler, same_group):
    inputs = women()
    rows = sampler(inputs, rng(), batches=1).shape[1]
    drawn = sampler(inputs, rng(7), batches=1_000_000 // rows, same_group=same_group)
    # Draws of one batch exclude each other, so counts vary a little less than the test assumes: never too small a p.
    assert drawn.size >= 999_000 and chance(drawn, inputs) > 0.001


def test_the_chi_square_test_sees_an_image_that_is_drawn_a_tenth_too_often():
    inputs = women()
    drawn = P_BY_S(inputs, rng(), batches=125_000).ravel()
    favorite = drawn == 3
    extra = np.full(favorite.sum() // 10, 3)
    assert chance(np.concatenate([drawn, extra]), inputs) < 1e-3


def test_p_by_s_holds_s_different_images_of_each_of_p_classes():
    inputs = women()
    drawn = samplers.p_by_s(inputs, rng(), classes=2, images=8, batches=300, same_group=True)
    labels = inputs.labels[drawn].reshape(300, 2, 8)
    assert (labels == labels[:, :, :1]).all() and (labels[:, 0, 0] != labels[:, 1, 0]).all()
    assert all(len(set(batch)) == 16 for batch in drawn)
    # All three classes are chosen equally often, whatever their size.
    assert scipy.stats.chisquare(np.bincount(labels[:, :, 0].ravel())).pvalue > 0.001


def test_n_pairs_alternate_anchors_and_positives_of_n_different_classes():
    inputs = women()
    drawn = samplers.n_pairs(inputs, rng(), classes=3, tuplets=2, batches=50)
    labels = inputs.labels[drawn].reshape(50, 2, 3, 2)
    assert drawn.shape == (50, 12) and (labels[..., 0] == labels[..., 1]).all()
    assert (np.sort(labels[..., 0]) == [0, 1, 2]).all()


@pytest.mark.parametrize("pairs", [1, 3])
def test_pairs_are_by_turns_positive_and_negative(pairs):
    inputs = women()
    drawn = samplers.pairs(inputs, rng(), pairs=pairs, batches=40)
    labels = inputs.labels[drawn].reshape(-1, 2)
    assert drawn.shape == (40, 2 * pairs)
    np.testing.assert_array_equal(labels[:, 0] == labels[:, 1], [True, False] * (20 * pairs))


@pytest.mark.parametrize("sizes", [(1, 2, 3), (5, 1, 1, 1), (2,)], ids=["mixed", "large and single", "twins"])
@ALL
def test_one_womans_images_are_no_positive_pair_unless_configured(sampler, sizes):
    inputs = women(sizes=sizes)

    def positives_of_one_group(drawn):
        width = 4 if sampler is P_BY_S else 2
        met = groups(inputs, drawn).reshape(-1, width)
        labels = inputs.labels[drawn].reshape(-1, width)
        return sum(
            ((met[:, a] == met[:, b]) & (labels[:, a] == labels[:, b])).sum() for a in range(width) for b in range(a)
        )

    assert positives_of_one_group(sampler(inputs, rng(), batches=2_000)) == 0
    assert positives_of_one_group(sampler(inputs, rng(), batches=2_000, same_group=True)) > 0


def test_a_group_too_large_for_equal_shares_is_drawn_at_most_once_a_batch():
    # Woman 0 has 30 of 40 images: she is in every batch once, her images less often than the others'.
    inputs = women(images=(40,), sizes=(30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1))
    drawn = samplers.p_by_s(inputs, rng(), classes=1, images=4, batches=30_000)
    counts = np.bincount(drawn.ravel(), minlength=40)
    assert (counts[:30].sum(), counts[30:].sum()) == (30_000, 90_000)
    assert min(scipy.stats.chisquare(part).pvalue for part in (counts[:30], counts[30:40])) > 0.001


def test_the_case_and_then_the_image_stand_in_for_an_empty_group():
    inputs = women(images=(4, 4, 4))
    inputs.rows["group"] = ""
    assert len(np.unique(samplers.p_by_s(inputs, rng(), classes=1, images=4, batches=1))) == 4
    inputs.rows["case"] = "c"
    with pytest.raises(InputError, match="1 groups"):
        samplers.p_by_s(inputs, rng(), classes=1, images=2, batches=1)


@ALL
def test_the_same_generator_gives_the_same_batches_and_another_others(sampler):
    inputs = women()
    first, again, other = (sampler(inputs, rng(seed), batches=20) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@ALL
def test_only_the_inputs_that_are_given_are_drawn_so_parts_do_not_leak(sampler):
    inputs = women()
    part = np.flatnonzero([name[-1] in "02468" for name in inputs.rows["group"]])
    train = Inputs(tuple(inputs.files[at] for at in part), inputs.labels[part], inputs.rows.iloc[part], inputs.classes)
    drawn = sampler(train, rng(), batches=200)
    names = {train.files[at][0] for at in np.unique(drawn)}
    assert names <= {inputs.files[at][0] for at in part}
    assert {name[-1] for name in train.rows["group"].to_numpy()[np.unique(drawn)]} <= set("02468")


def test_what_cannot_be_drawn_is_refused_with_the_class_and_the_numbers():
    inputs = women(images=(40, 24, 5))
    with pytest.raises(InputError, match=r"'unsure' has 5 images in 3 groups, but 4 of different groups"):
        samplers.p_by_s(inputs, rng(), classes=3, images=4, batches=1)
    assert samplers.p_by_s(inputs, rng(), classes=3, images=5, batches=1, same_group=True).shape == (1, 15)
    with pytest.raises(
        InputError, match=r"4 classes should be in a batch, but only 3 have images here \(control, case, unsure\)"
    ):
        samplers.n_pairs(inputs, rng(), classes=4, batches=1)
