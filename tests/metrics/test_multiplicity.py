import numpy as np
import pytest
from scipy import stats

from cervix_tf.metrics import multiplicity


@pytest.mark.parametrize("apart", [0.0, 0.7, -1.9, 2.4])
def test_the_p_value_of_normal_draws_is_that_of_their_normal_test(apart):
    draws = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000) + apart
    assert multiplicity.bootstrap_p(draws) == pytest.approx(2 * stats.norm.sf(abs(apart)), abs=2e-4)


def test_a_p_value_is_never_zero_and_undefined_draws_are_left_out():
    assert multiplicity.bootstrap_p(np.r_[np.ones(99), np.nan]) == pytest.approx(2 / 100)
    assert multiplicity.bootstrap_p(np.zeros(50)) == 1


def test_nothing_to_pay_for_nothing():
    assert multiplicity.corrected([]) == [] and multiplicity.corrected([0.03]) == [0.03]
