"""Contrastive against NumPy from Eq. 1 of Pal et al. 2021."""

import keras
import numpy as np
import pytest

from cervix_tf.losses.contrastive import Contrastive


def eq_1(labels, embeddings, m_pos, m_neg):
    """The sum over pairs, one at a time, in float64."""
    total = 0.0
    for row in range(0, len(labels), 2):
        distance = np.sqrt(np.sum((np.float64(embeddings[row]) - np.float64(embeddings[row + 1])) ** 2))
        if labels[row] == labels[row + 1]:
            total += max(0.0, distance - m_pos)
        else:
            total += max(0.0, m_neg - distance)
    return total


def test_the_value_is_eq_1_on_200_random_batches(unit):
    rng = np.random.default_rng(1)
    for _ in range(200):
        pairs, m_pos, m_neg = rng.integers(1, 12), rng.uniform(0, 1), rng.uniform(0, 2)
        labels = rng.integers(0, 3, 2 * pairs)
        embeddings = unit(rng, 2 * pairs, rng.integers(2, 9))
        expected = eq_1(labels, embeddings, m_pos, m_neg)
        assert float(Contrastive(m_pos, m_neg, reduction="sum")(labels, embeddings)) == pytest.approx(
            expected, abs=1e-5
        )
        assert float(Contrastive(m_pos, m_neg)(labels, embeddings)) == pytest.approx(expected / pairs, abs=1e-5)


def test_hand_arithmetic_on_the_unit_circle():
    # A positive pair at a right angle is sqrt(2) apart; a negative pair 0.2 apart misses 0.25 by 0.05.
    near = 2 * np.arcsin(0.1)
    embeddings = np.array([[1, 0], [0, 1], [1, 0], [np.cos(near), np.sin(near)]], "float32")
    labels = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(Contrastive(reduction=None)(labels, embeddings), [np.sqrt(2), 0.05], rtol=1e-6)
    assert float(Contrastive()(labels, embeddings)) == pytest.approx((np.sqrt(2) + 0.05) / 2)
    # Margins by their side: sqrt(2) - 0.4 too far; the negative pair is farther than 0.1.
    np.testing.assert_allclose(Contrastive(0.4, 0.1, reduction=None)(labels, embeddings), [np.sqrt(2) - 0.4, 0])


def test_the_gradient_is_that_of_finite_differences(unit, gradient, finite_differences):
    rng = np.random.default_rng(2)
    labels, embeddings = rng.integers(0, 2, 12), unit(rng, 12, 4)
    _, found = gradient(Contrastive(0.1, 1.3), labels, embeddings)
    expected = finite_differences(lambda x: eq_1(labels, x, 0.1, 1.3) / 6, np.float64(embeddings))
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_rows_2i_and_2i_plus_1_are_compared(unit):
    rng = np.random.default_rng(3)
    labels, embeddings = np.array([0, 0, 0, 1, 2, 2]), unit(rng, 6, 3)
    losses = np.asarray(Contrastive(0, 2, reduction=None)(labels, embeddings))
    order = [4, 5, 0, 1, 3, 2]
    np.testing.assert_allclose(
        Contrastive(0, 2, reduction=None)(labels[order], embeddings[order]), losses[[2, 0, 1]], rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [0, 0, 0, 0]], ids=["two classes", "one class"])
def test_coinciding_rows_have_a_finite_loss_and_gradient(gradient, dtype, labels):
    same = keras.ops.cast(np.full((4, 4), 0.5), dtype)
    value, found = gradient(Contrastive(), np.array(labels), same)
    assert value == pytest.approx(0.125 if 1 in labels else 0.0)
    assert found.dtype == same.dtype.as_numpy_dtype and not np.float32(found).any()


def test_sixteen_bit_embeddings_are_compared_in_float32(unit):
    embeddings = np.float16(unit(np.random.default_rng(4), 40, 64))
    labels = np.repeat([0, 1], 20)
    expected = float(Contrastive()(labels, np.float32(embeddings)))
    assert float(Contrastive()(labels, embeddings)) == pytest.approx(expected, rel=1e-6)


def test_an_odd_batch_and_negative_margins_are_refused(unit):
    with pytest.raises(ValueError, match="even number of rows; got 3"):
        Contrastive()(np.zeros(3), unit(np.random.default_rng(5), 3, 2))
    with pytest.raises(ValueError, match=r"-0\.5"):
        Contrastive(m_neg=-0.5)


def test_it_comes_back_from_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(Contrastive(0.1, 0.6, reduction="sum")))
    assert (type(again), again.m_pos, again.m_neg, again.reduction) == (Contrastive, 0.1, 0.6, "sum")
