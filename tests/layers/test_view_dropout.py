"""ViewDropout: of two views of three maps, one of two and one of one, with a mask plane each."""

import numpy as np
import pytest

from cervix_tf.layers import ViewDropout

KINDS = [(2, 3), (1, 2), (1, 1)]
KIND_OF = np.array([0] * 6 + [1] * 2 + [2] + [0, 0, 1, 2])
"""The kind of each of the nine maps and four planes."""


def visits(count, *there):
    """Maps and planes of visits that all have the kinds `there`."""
    maps = np.random.default_rng(0).uniform(1, 2, (count, 2, 3, 13)).astype("float32")
    maps[..., 9:] = 1
    maps[..., ~np.isin(KIND_OF, there)] = 0
    return maps


def kept(before, after):
    """(visits, 3): which kinds are left; each is left as it was, maps and planes, or gone with all of them."""
    left = np.stack([(after[:, 0, 0] != 0)[:, kind == KIND_OF].any(axis=1) for kind in range(3)], axis=1)
    np.testing.assert_array_equal(after, before * left[:, None, None, KIND_OF])
    return left


def test_a_kind_goes_with_all_its_maps_and_planes_and_one_kind_always_stays():
    before = visits(4000, 0, 1, 2)
    left = kept(before, ViewDropout(0.6, KINDS, seed=1)(before, training=True).numpy())
    # All three are drawn with 0.6^3; then each of them stays in a third of the visits.
    assert (1 - left).mean(axis=0) == pytest.approx(0.6 - 0.6**3 / 3, abs=0.03)
    assert left.any(axis=1).all() and (left.sum(axis=1) == 1).mean() == pytest.approx(3 * 0.36 * 0.4 + 0.216, abs=0.03)


def test_what_is_missing_stays_so_and_the_last_kind_that_is_there_is_not_dropped():
    for there in ((1,), (2,), (0,)):
        before = visits(200, *there)
        np.testing.assert_array_equal(ViewDropout(0.99, KINDS, seed=1)(before, training=True), before)
    before = visits(2000, 0, 2)
    left = kept(before, ViewDropout(0.9, KINDS, seed=1)(before, training=True).numpy())
    assert left[:, [0, 2]].any(axis=1).all() and not left[:, 1].any()
    assert (1 - left[:, [0, 2]]).mean(axis=0) == pytest.approx(0.9 - 0.81 / 2, abs=0.04)


def test_in_inference_and_at_rate_zero_nothing_changes():
    before = visits(8, 0, 1, 2)
    np.testing.assert_array_equal(ViewDropout(0.9, KINDS)(before), before)
    np.testing.assert_array_equal(ViewDropout(0.0, KINDS)(before, training=True), before)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"not 1\.0"):
        ViewDropout(1.0, KINDS)
    with pytest.raises(ValueError, match="13 maps and planes, not 12"):
        ViewDropout(0.5, KINDS)(np.ones((1, 2, 3, 12), "float32"))
