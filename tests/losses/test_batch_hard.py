"""BatchHard against NumPy from the third equation of Pal et al. 2021."""

import keras
import numpy as np
import pytest

from cervix_tf.losses.batch_hard import BatchHard


def eq_3(labels, embeddings, margin):
    """The loss of each anchor, every distance by itself, in float64."""
    x = np.float64(embeddings)
    losses = []
    for anchor, label in zip(x, labels, strict=True):
        distances = np.array([np.sqrt(np.sum((anchor - other) ** 2)) for other in x])
        inter = distances[labels != label].min() if (labels != label).any() else np.inf
        losses.append(max(0.0, margin + distances[labels == label].max() - inter))
    return np.array(losses)


def test_the_value_is_the_equation_on_200_random_batches(unit):
    rng = np.random.default_rng(1)
    for _ in range(200):
        rows, margin = rng.integers(1, 25), rng.uniform(0, 1)
        labels, embeddings = rng.integers(0, 4, rows), unit(rng, rows, rng.integers(2, 9))
        expected = eq_3(labels, embeddings, margin)
        np.testing.assert_allclose(BatchHard(margin, reduction="none")(labels, embeddings), expected, atol=1e-5)
        assert float(BatchHard(margin)(labels, embeddings)) == pytest.approx(expected.sum(), rel=1e-5, abs=1e-5)


def test_hand_arithmetic_on_the_unit_circle():
    # 0 and 90 degrees of one class, 180 and 270 of the other: neighbors are sqrt(2) apart, opposites 2.
    embeddings = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], "float32")
    # Every anchor: hardest positive sqrt(2), nearest negative sqrt(2), so the margin remains.
    assert float(BatchHard(0.25)(np.array([0, 0, 1, 1]), embeddings)) == pytest.approx(4 * 0.25, rel=1e-6)
    # Opposites of one class: 0.25 + 2 - sqrt(2) each.
    assert float(BatchHard(0.25)(np.array([0, 1, 0, 1]), embeddings)) == pytest.approx(4 * (2.25 - np.sqrt(2)))
    # Three of a class: 2 + m - sqrt(2) at 0 and 180 degrees, m + sqrt(2) - 2 < 0 at 90, m - sqrt(2) < 0 alone at 270.
    found = BatchHard(0.25, reduction="none")(np.array([0, 0, 0, 1]), embeddings)
    np.testing.assert_allclose(found, [2.25 - np.sqrt(2), 0, 2.25 - np.sqrt(2), 0], rtol=1e-6)


def test_the_gradient_is_that_of_finite_differences(unit, gradient, finite_differences):
    rng = np.random.default_rng(2)
    labels, embeddings = rng.integers(0, 3, 16), unit(rng, 16, 4)
    _, found = gradient(BatchHard(0.25), labels, embeddings)
    expected = finite_differences(lambda x: eq_3(labels, x, 0.25).sum(), np.float64(embeddings))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_distances_of_near_rows_are_exact():
    # The expansion |a|^2 + |b|^2 - 2ab in float32 is off by some percent here.
    small = np.float32(1e-3)
    embeddings = np.array([[1, 0], [1, small], [1, -2 * small], [1, 5 * small]], "float32")
    found = BatchHard(0.0, reduction="none")(np.array([0, 0, 1, 1]), embeddings)
    np.testing.assert_allclose(found, [0, 0, 7 * small - 2 * small, 7 * small - 4 * small], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_identical_embeddings_cost_the_margin_and_have_a_finite_gradient(gradient, dtype):
    same = keras.ops.cast(np.full((6, 4), 0.5), dtype)
    value, found = gradient(BatchHard(0.25), np.array([0, 0, 0, 1, 1, 1]), same)
    assert value == pytest.approx(6 * 0.25)
    assert np.isfinite(np.float32(found)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_one_class_in_a_batch_costs_nothing_and_moves_nothing(unit, gradient, dtype):
    embeddings = keras.ops.cast(unit(np.random.default_rng(4), 6, 4), dtype)
    value, found = gradient(BatchHard(0.25), np.ones(6), embeddings)
    assert value == 0 and not np.float32(found).any()


def test_sixteen_bit_embeddings_are_compared_in_float32(unit):
    embeddings = np.float16(unit(np.random.default_rng(5), 40, 64))
    labels = np.repeat([0, 1], 20)
    expected = float(BatchHard()(labels, np.float32(embeddings)))
    assert float(BatchHard()(labels, embeddings)) == pytest.approx(expected, rel=1e-6)


def test_the_order_of_rows_and_the_shape_of_labels_do_not_matter(unit):
    rng = np.random.default_rng(6)
    labels, embeddings, order = rng.integers(0, 3, 12), unit(rng, 12, 5), rng.permutation(12)
    expected = float(BatchHard()(labels, embeddings))
    assert float(BatchHard()(labels[order, None], embeddings[order])) == pytest.approx(expected, rel=1e-6)


def test_a_negative_margin_is_refused():
    with pytest.raises(ValueError, match="-1"):
        BatchHard(-1)


def test_it_comes_back_from_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(BatchHard(0.5)))
    assert (type(again), again.margin, again.reduction) == (BatchHard, 0.5, "sum")
