import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cervix_tf.errors import InputError
from cervix_tf.explain.t_sne import t_sne


def two_clusters(images):
    """Embeddings of twice so many images: two clusters, ten times as far apart as either is wide."""
    labels = np.repeat([0, 1], images)
    centers = 10 * np.sqrt(2) * np.eye(2, 16)
    return centers[labels] + np.random.default_rng(0).normal(size=(2 * images, 16)), labels


def of_the_same_cluster(points, labels, neighbors):
    """Share of every point's nearest neighbors that are of its own cluster: 0.5 is chance."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argsort(axis=1)[:, :neighbors]
    return (labels[nearest] == labels[:, None]).mean()


# Where a single point ends depends on the last digits of the processor's arithmetic: only the mean is promised.
def test_images_of_one_cluster_lie_together_in_the_plane():
    values, labels = two_clusters(20)
    points = t_sne(values, seed=0)
    assert points.shape == (40, 2)
    assert of_the_same_cluster(points, labels, 5) >= 0.9


def test_in_space_neighbors_stay_neighbors_too():
    values, labels = two_clusters(60)
    points = t_sne(values, seed=0, perplexity=5, dimensions=3)
    assert points.shape == (120, 3)
    assert of_the_same_cluster(points, labels, 5) >= 0.75


def test_the_same_seed_gives_the_same_points_and_few_images_are_drawn_too():
    values, _ = two_clusters(20)
    np.testing.assert_array_equal(t_sne(values[:5], seed=1), t_sne(values[:5], seed=1))
    with pytest.raises(ValueError, match="2 embeddings"):
        t_sne(values[:2], seed=0)


@pytest.mark.parametrize("value", [0.0, 1.0, -3e20])
def test_embeddings_that_are_all_equal_are_one_point_and_do_not_end_the_process(value):
    np.testing.assert_array_equal(t_sne(np.full((12, 8), value), seed=0), np.zeros((12, 2)))
    assert t_sne(np.full((12, 8), value), seed=0, dimensions=3).shape == (12, 3)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_embeddings_of_any_scale_give_finite_points(scale):
    values = np.random.default_rng(0).normal(size=(12, 8)) * scale
    assert np.isfinite(t_sne(values, seed=0)).all()


def test_fewer_features_than_dimensions_are_drawn_too():
    assert t_sne(np.arange(12.0)[:, None], seed=0).shape == (12, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_that_are_no_numbers_are_counted_with_a_remedy(value):
    values = np.ones((12, 8))
    values[3:5, 2] = value
    with pytest.raises(InputError, match=r"2 of 12 embeddings hold NaN or infinite values.*lower learning rate"):
        t_sne(values, seed=0)


def test_the_points_do_not_depend_on_the_number_of_threads():
    values = np.random.default_rng(0).normal(size=(500, 200)).astype(np.float32)
    t_sne(values[:10], seed=0)  # what computes on threads is loaded now, and can be told how many
    with threadpool_limits(1):
        one = t_sne(values, seed=0)
    with threadpool_limits(2):
        np.testing.assert_array_equal(t_sne(values, seed=0), one)
