"""Deletion, insertion, likeness and shuffled weights, on networks whose answers are known."""

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from cervix_tf.explain import faithfulness

HEIGHT, WIDTH = 10, 20


@pytest.fixture
def image():
    """White in the left tenth, black elsewhere."""
    found = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    found[:, :2] = 255
    return found


def heat(columns):
    found = np.zeros((HEIGHT, WIDTH))
    found[:, columns] = 1.0
    return found


def sees_white(images):
    """Certain of class 1 while any pixel is white."""
    there = (images == 255).all(axis=-1).any(axis=(1, 2)).astype(float)
    return np.stack([1 - there, there], axis=1)


def test_deletion_is_low_where_the_map_shows_what_the_network_needs(image):
    # ten steps: white at 0, gone from a tenth on, so that the first trapezoid alone counts
    assert faithfulness.deletion(sees_white, image, heat(slice(0, 2)), 1, steps=10) == pytest.approx(0.05)
    # last to go: white until all is gone
    assert faithfulness.deletion(sees_white, image, 1 - heat(slice(0, 2)), 1, steps=10) == pytest.approx(0.95)


def test_insertion_is_high_where_the_map_shows_what_the_network_needs(image):
    image[:, 1] = 0  # one white column of twenty, which no blurred image has

    # twenty steps: nothing at 0, there from a twentieth on
    assert faithfulness.insertion(sees_white, image, heat([0]), 1, steps=20) == pytest.approx(0.975)
    assert faithfulness.insertion(sees_white, image, 1 - heat([0]), 1, steps=20) == pytest.approx(0.025)


def test_a_network_that_never_changes_its_mind_has_its_own_probability_as_area(image):
    def sure(images):
        return np.full((len(images), 2), 0.7)

    assert faithfulness.deletion(sure, image, heat([3]), 0) == pytest.approx(0.7)


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    one, other = rng.random((4, 5)), rng.integers(0, 3, (4, 5))  # with ties
    expected = spearmanr(one.ravel(), other.ravel()).statistic
    assert faithfulness.rank_correlation(one, other) == pytest.approx(expected)
    assert faithfulness.rank_correlation(one, -(one**3)) == pytest.approx(-1)
    assert faithfulness.rank_correlation(one, np.ones((4, 5))) == 0.0


def test_agreement_is_the_mean_over_pairs():
    up, down = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)
    assert faithfulness.agreement([up, up, down]) == pytest.approx((1 - 1 - 1) / 3)


def test_weights_are_shuffled_within_the_block_and_whole_after_it():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    before, given = network.get_weights(), np.ones((1, 4), "float32")
    said = network(given)
    with pytest.raises(RuntimeError), faithfulness.shuffled_weights(network, 1):
        inside = network.get_weights()
        assert all((np.sort(a, None) == np.sort(b, None)).all() for a, b in zip(before, inside, strict=True))
        assert not np.allclose(network(given), said)
        raise RuntimeError
    assert all((a == b).all() for a, b in zip(before, network.get_weights(), strict=True))
