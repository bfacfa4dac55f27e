"""dynamic_weights against hand arithmetic from Eq. 9 and 10 of Buiu et al. 2020."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cervix_tf.config import Phi
from cervix_tf.losses.dynamic_weights import dynamic_weights


def eq_5(confusion):
    """True positive rates of a confusion matrix; NaN for a class without samples."""
    return [row[at] / sum(row) if sum(row) else float("nan") for at, row in enumerate(np.asarray(confusion).tolist())]


# True positive rates 9/10, 1/2, 3/4, 1; error rates 0.1, 0.5, 0.25, 0.
CONFUSION = [[9, 1, 0, 0], [3, 5, 2, 0], [0, 1, 3, 0], [0, 0, 0, 2]]


@pytest.mark.parametrize(
    ("phi", "emphasised"),
    [
        ("x", [0.1, 0.5, 0.25, 0.0]),  # sum 0.85
        ("x^3", [0.001, 0.125, 0.015625, 0.0]),  # sum 0.141625
        ("exp(x)", [1.1051709, 1.6487213, 1.2840254, 1.0]),
        ("exp(10x)", [2.7182818, 148.4131591, 12.1824940, 1.0]),
        ("exp(100x)", [2.2026466e4, 5.1847055e21, 7.2004899e10, 1.0]),
    ],
)
def test_hand_computed_confusion_matrix(phi, emphasised):
    expected = np.array(emphasised) / np.sum(emphasised)
    np.testing.assert_allclose(dynamic_weights(eq_5(CONFUSION), phi), expected, rtol=1e-6)


@pytest.mark.parametrize("phi", get_args(Phi))
def test_without_errors_all_weights_are_equal(phi):
    np.testing.assert_array_equal(dynamic_weights(eq_5(np.diag([5, 1, 2, 9])), phi), [0.25] * 4)


def test_a_class_without_samples_counts_as_free_of_error():
    np.testing.assert_allclose(dynamic_weights(eq_5([[1, 1, 0], [1, 3, 0], [0, 0, 0]]), "x"), [2 / 3, 1 / 3, 0])


counts = arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 1000))


@given(counts, st.sampled_from(get_args(Phi)))
def test_weights_are_finite_sum_to_1_and_follow_the_errors_order(confusion, phi):
    weights = dynamic_weights(eq_5(confusion), phi)
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1.0)
    population = confusion.sum(axis=1)
    errors = np.where(population > 0, 1 - np.diag(confusion) / np.maximum(population, 1), 0)
    assert (np.diff(weights[np.argsort(errors, kind="stable")]) >= 0).all()


@given(counts, st.integers(1, 50))
def test_the_size_of_a_class_does_not_matter(confusion, times):
    larger = confusion.copy()
    larger[0] *= times
    np.testing.assert_allclose(
        dynamic_weights(eq_5(larger), "exp(10x)"), dynamic_weights(eq_5(confusion), "exp(10x)"), rtol=1e-9
    )


@pytest.mark.parametrize("rates", [[[0.5, 1.0]], [0.5, 1.1], [-0.1, 0.5]])
def test_what_are_no_rates_is_refused(rates):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        dynamic_weights(rates, "x")


def test_an_unknown_phi_is_refused():
    with pytest.raises(ValueError, match=r"exp\(100x\)"):
        dynamic_weights(eq_5(CONFUSION), "x^2")  # type: ignore[arg-type]
