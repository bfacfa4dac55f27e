import numpy as np
import pytest

from cervix_tf.explain.t_sne import t_sne


def two_clusters():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 16))
    labels = np.repeat([0, 1], 20)
    return centres[labels] * 5 + rng.normal(size=(40, 16)), labels


def test_images_of_one_cluster_lie_together_in_the_plane():
    values, labels = two_clusters()
    points = t_sne(values, seed=0)
    assert points.shape == (40, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).all()


def test_the_same_seed_gives_the_same_points_and_few_images_are_drawn_too():
    values, _ = two_clusters()
    np.testing.assert_array_equal(t_sne(values[:5], seed=1), t_sne(values[:5], seed=1))
    with pytest.raises(ValueError, match="2 embeddings"):
        t_sne(values[:2], seed=0)


def test_in_space_neighbours_stay_neighbours_too():
    values, labels = two_clusters()
    points = t_sne(values, seed=0, perplexity=5, dimensions=3)
    assert points.shape == (40, 3)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).all()
