"""population_weights against hand arithmetic."""

import numpy as np
import pytest

from cervix_tf.losses.population_weights import population_weights


def test_every_class_of_the_paper_gets_the_same_total_weight():
    counts = np.array([1540, 469, 854, 140])  # Fig. 3
    weights = population_weights(counts)
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights * counts, np.full(4, weights[0] * 1540))


def test_hand_arithmetic():
    np.testing.assert_allclose(population_weights([2, 1]), [1 / 3, 2 / 3])


def test_a_class_without_samples_gets_none():
    np.testing.assert_allclose(population_weights([2, 0, 2]), [0.5, 0.0, 0.5])


@pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [[1, 2]]])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="samples a class"):
        population_weights(counts)
