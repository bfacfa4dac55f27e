"""NPair against NumPy from Eq. 2 of Pal et al. 2021."""

import keras
import numpy as np
import pytest

from cervix_tf.losses.n_pair import NPair


def eq_2(embeddings):
    """L_1 ... L_N of N pairs from N different classes, term by term, in float64; anchors and positives alternate."""
    x, y = np.float64(embeddings[::2]), np.float64(embeddings[1::2])
    losses = []
    for i in range(len(x)):
        below = 0.0
        for k in range(len(x)):
            if k != i:
                below += np.exp(x[i] @ x[k])
            below += np.exp(x[i] @ y[k])
        losses.append(-np.log(np.exp(x[i] @ y[i]) / below))
    return np.array(losses)


def classes(pairs):
    return np.repeat(np.arange(pairs), 2)


def test_the_value_is_eq_2_on_200_random_batches(unit):
    rng = np.random.default_rng(1)
    for _ in range(200):
        pairs = rng.integers(1, 10)
        embeddings = unit(rng, 2 * pairs, rng.integers(2, 9))
        labels = rng.permutation(20)[classes(pairs)]
        expected = eq_2(embeddings)
        np.testing.assert_allclose(NPair(reduction=None)(labels, embeddings), expected, atol=1e-5)
        assert float(NPair(reduction="sum")(labels, embeddings)) == pytest.approx(expected.sum(), rel=1e-5, abs=1e-5)
        assert float(NPair()(labels, embeddings)) == pytest.approx(expected.mean(), rel=1e-5, abs=1e-5)


def test_hand_arithmetic_on_the_unit_circle():
    # Anchors at 0 and 90 degrees on their positives: dot products 1 with the own positive, 0 with the other pair.
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    # -ln(e / (1 + e + 1)), once with the other anchor and once with its positive
    expected = -np.log(np.e / (2 + np.e))
    np.testing.assert_allclose(NPair(reduction=None)(classes(2), embeddings), [expected, expected], rtol=1e-6)


def test_the_gradient_is_that_of_finite_differences(unit, gradient, finite_differences):
    embeddings = unit(np.random.default_rng(2), 8, 4)
    _, found = gradient(NPair(), classes(4), embeddings)
    expected = finite_differences(lambda x: eq_2(x).mean(), np.float64(embeddings))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_of_the_anchors_own_class_are_no_negatives(unit):
    embeddings = unit(np.random.default_rng(3), 8, 5)
    labels = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    x, y = np.float64(embeddings[::2]), np.float64(embeddings[1::2])
    expected = []
    for i, others in enumerate([(1, 3), (0, 2), (1, 3), (0, 2)]):  # the pairs of the other class
        negatives = sum(np.exp(x[i] @ x[k]) + np.exp(x[i] @ y[k]) for k in others)
        expected.append(np.log((np.exp(x[i] @ y[i]) + negatives) / np.exp(x[i] @ y[i])))
    np.testing.assert_allclose(NPair(reduction=None)(labels, embeddings), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_identical_embeddings_cost_the_logarithm_of_the_number_of_terms(gradient, dtype):
    same = keras.ops.cast(np.full((6, 4), 0.5), dtype)
    value, found = gradient(NPair(), classes(3), same)
    assert value == pytest.approx(np.log(5), rel=1e-6)
    assert np.isfinite(np.float32(found)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_one_class_in_a_batch_costs_nothing_and_moves_nothing(unit, gradient, dtype):
    embeddings = keras.ops.cast(unit(np.random.default_rng(4), 6, 4), dtype)
    value, found = gradient(NPair(), np.ones(6), embeddings)
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(np.float32(found), 0, atol=1e-6)


def test_long_embeddings_do_not_overflow(gradient):
    embeddings = np.float32(100) * np.array([[1, 0], [-1, 0], [0, 1], [0, 1]], "float32")
    value, found = gradient(NPair(reduction="sum"), classes(2), embeddings)
    # The first anchor: ln(exp(-10^4) + 2 exp(0)) + 10^4. The second: its positive outweighs everything.
    assert value == pytest.approx(1e4 + np.log(2))
    assert np.isfinite(found).all()


def test_an_odd_batch_is_refused(unit):
    with pytest.raises(ValueError, match="even number of rows; got 5"):
        NPair()(np.zeros(5), unit(np.random.default_rng(5), 5, 2))


def test_it_comes_back_from_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(NPair(reduction="sum")))
    assert (type(again), again.reduction, again.name) == (NPair, "sum", "n_pair")


def test_tuplets_of_a_batch_do_not_see_each_other(unit):
    embeddings = unit(np.random.default_rng(4), 12, 5)
    labels = np.array([0, 0, 1, 1] * 3)
    expected = np.concatenate([eq_2(embeddings[at : at + 4]) for at in (0, 4, 8)])
    np.testing.assert_allclose(NPair(2, reduction=None)(labels, embeddings), expected, atol=1e-5)
    assert not np.allclose(NPair(reduction=None)(labels, embeddings), expected, atol=1e-2)
    again = keras.losses.deserialize(keras.losses.serialize(NPair(2)))
    assert again.tuplet == 2
    with pytest.raises(ValueError, match="at least one pair, or 0"):
        NPair(-1)
