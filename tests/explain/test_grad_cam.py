"""Grad-CAM, Grad-CAM++ and HiResCAM against slow NumPy from the papers' equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.explain.grad_cam import grad_cam, grad_cam_plus_plus, hires_cam

HEIGHT, WIDTH, CHANNELS, CLASSES = 3, 4, 2, 3


class TinyHead:
    """relu(flat A @ first) @ second: piecewise linear, as a ReLU network is; in NumPy and TensorFlow."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.first = rng.normal(size=(HEIGHT * WIDTH * CHANNELS, 6))
        self.second = rng.normal(size=(6, CLASSES))

    def numpy(self, maps):
        return np.maximum(maps.reshape(-1) @ self.first, 0) @ self.second

    def __call__(self, maps):
        flat = tf.reshape(tf.cast(maps, "float64"), (tf.shape(maps)[0], -1))
        return tf.nn.relu(flat @ self.first) @ self.second

    def slope(self, maps, chosen):
        """dS / dA by central differences, exact within one linear piece."""
        slope = np.zeros_like(maps)
        for index in np.ndindex(maps.shape):
            step = np.zeros_like(maps)
            step[index] = 1e-6
            slope[index] = (self.numpy(maps + step) - self.numpy(maps - step))[chosen] / 2e-6
        return slope


def maps_of(batch, seed=1):
    return np.random.default_rng(seed).uniform(0, 1, (batch, HEIGHT, WIDTH, CHANNELS))


def slow_grad_cam(head, maps, chosen):
    slope = head.slope(maps, chosen)
    heat = np.zeros((HEIGHT, WIDTH))
    for k in range(CHANNELS):
        weight = sum(slope[i, j, k] for i in range(HEIGHT) for j in range(WIDTH)) / (HEIGHT * WIDTH)
        heat += weight * maps[..., k]
    heat = np.maximum(heat, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def slow_grad_cam_plus_plus(head, maps, chosen):
    """alpha = Y'' / (2 Y'' + sum(A) Y''') with Y = exp(S); weight = sum of alpha relu(Y')."""
    slope = head.slope(maps, chosen)
    y = np.exp(head.numpy(maps)[chosen])
    heat = np.zeros((HEIGHT, WIDTH))
    for k in range(CHANNELS):
        weight = 0.0
        total = sum(maps[a, b, k] for a in range(HEIGHT) for b in range(WIDTH))
        for i in range(HEIGHT):
            for j in range(WIDTH):
                g = slope[i, j, k]
                first, second, third = y * g, y * g**2, y * g**3
                if second == 0:
                    continue
                alpha = second / (2 * second + total * third)
                weight += alpha * max(first, 0)
        heat += weight * maps[..., k]
    heat = np.maximum(heat, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def slow_hires_cam(head, maps, chosen):
    slope = head.slope(maps, chosen)
    heat = np.zeros((HEIGHT, WIDTH))
    for i in range(HEIGHT):
        for j in range(WIDTH):
            heat[i, j] = max(sum(slope[i, j, k] * maps[i, j, k] for k in range(CHANNELS)), 0)
    return heat / heat.max() if heat.max() > 0 else heat


@pytest.mark.parametrize(
    ("method", "slow"),
    [(grad_cam, slow_grad_cam), (grad_cam_plus_plus, slow_grad_cam_plus_plus), (hires_cam, slow_hires_cam)],
)
@pytest.mark.parametrize("seed", range(4))
def test_heat_maps_equal_the_equations(method, slow, seed):
    head, maps = TinyHead(seed), maps_of(CLASSES, seed + 10)
    expected = np.stack([slow(head, maps[at], at) for at in range(CLASSES)])
    assert expected.max() == 1.0
    np.testing.assert_allclose(method(head, maps, np.arange(CLASSES)), expected, atol=1e-5)


def test_powers_of_the_slope_are_the_derivatives_of_exp_score():
    """What Grad-CAM++ supposes, seen by finite differences of exp(S) itself."""
    head, maps = TinyHead(), maps_of(1)[0]
    chosen, step = 0, 1e-3
    slope = head.slope(maps, chosen)
    for index in [(0, 0, 0), (1, 2, 1), (2, 3, 0)]:
        shift = np.zeros_like(maps)
        shift[index] = step
        y = [np.exp(head.numpy(maps + n * shift)[chosen]) for n in (-2, -1, 0, 1, 2)]
        second = (y[3] - 2 * y[2] + y[1]) / step**2
        third = (y[4] - 2 * y[3] + 2 * y[1] - y[0]) / (2 * step**3)
        assert second == pytest.approx(y[2] * slope[index] ** 2, rel=1e-3)
        assert third == pytest.approx(y[2] * slope[index] ** 3, rel=1e-2, abs=1e-3)


def test_hires_cam_of_a_linear_head_is_what_each_position_adds_to_the_score():
    """Grad-CAM, which averages the slopes, calls a position important whose weight is 0."""
    maps = np.ones((1, 1, 3, 1), "float32")
    weights = tf.constant([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0]])

    def head(m):
        return tf.reshape(m, (1, 3)) @ weights

    np.testing.assert_allclose(hires_cam(head, maps, 0), [[[1.0, 0.0, 0.5]]])
    np.testing.assert_allclose(grad_cam(head, maps, 0), [[[1.0, 1.0, 1.0]]])


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_without_a_class_it_is_the_likeliest(method):
    head, maps = TinyHead(), maps_of(5)
    likeliest = np.argmax(head(maps), axis=-1)
    assert len(set(likeliest)) > 1
    np.testing.assert_array_equal(method(head, maps), method(head, maps, likeliest))


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_one_class_for_all_samples(method):
    head, maps = TinyHead(), maps_of(3)
    np.testing.assert_array_equal(method(head, maps, 2), method(head, maps, [2, 2, 2]))


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_a_map_without_evidence_is_zero_throughout(method):
    heat = method(lambda maps: tf.zeros((2, 3), maps.dtype) * tf.reduce_sum(maps), maps_of(2), 0)
    np.testing.assert_array_equal(heat, np.zeros((2, HEIGHT, WIDTH)))


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_very_large_and_very_small_scores_stay_finite(method):
    head, maps = TinyHead(), maps_of(2)
    for scale in (1e-12, 1.0, 1e4):
        heat = method(lambda m, scale=scale: head(m) * scale, tf.cast(maps, "float32"), 1)
        assert np.isfinite(heat).all()
        assert heat.max() == 1.0


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_two_lesions_in_different_channels_both_show(method):
    maps = np.zeros((1, 8, 8, 3), "float32")
    maps[0, 1, 1, 0] = maps[0, 6, 5, 1] = 1.0  # evidence
    maps[0, 3, 3, 2] = 5.0  # a loud channel that speaks against the class

    def head(m):
        pooled = tf.reduce_mean(m, axis=(1, 2))
        return tf.stack([pooled @ [[1.0], [1.0], [-1.0]], tf.zeros((1, 1))], axis=-1)[:, 0]

    heat = method(head, maps, 0)[0]
    assert heat[1, 1] == heat[6, 5] == 1.0
    assert heat.sum() == 2.0


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus, hires_cam])
def test_seven_views_of_an_ensemble_give_seven_heat_maps_a_case(method):
    """Five acetic views folded into the batch of one trunk, each trunk with its own number of maps."""
    cases = 2
    rng = np.random.default_rng(0)
    acetic = rng.uniform(0, 1, (cases * 5, 7, 10, 3)).astype("float32")
    green = rng.uniform(0, 1, (cases, 7, 10, 6)).astype("float32")
    iodine = rng.uniform(0, 1, (cases, 7, 10, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    fuse = keras.Sequential(
        [
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )

    def head(maps):
        acetic, green, iodine = maps
        unfolded = tf.reshape(acetic, (cases, 5, 7, 10, 3))
        return fuse(tf.concat([*tf.unstack(unfolded, axis=1), green, iodine], axis=-1))

    heat = method(head, [acetic, green, iodine], [1, 3])
    assert [h.shape for h in heat] == [(cases * 5, 7, 10), (cases, 7, 10), (cases, 7, 10)]

    def unfolded_head(maps):
        return fuse(tf.concat([*tf.unstack(maps[0], axis=1), maps[1], maps[2]], axis=-1))

    again = method(unfolded_head, [acetic.reshape(cases, 5, 7, 10, 3), green, iodine], [1, 3])
    np.testing.assert_allclose(again[0].reshape(heat[0].shape), heat[0], atol=1e-6)
    second = method(lambda m: head([acetic, m, iodine]), green, [1, 3])  # one stack at a time is the same
    np.testing.assert_allclose(second, heat[1], atol=1e-6)
