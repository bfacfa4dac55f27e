"""Attention, tokens and shuffling against loops written from their equations."""

import keras
import numpy as np
import pytest

from cervix_tf.layers.channel_shuffle import ChannelShuffle
from cervix_tf.layers.channel_split import ChannelSplit
from cervix_tf.layers.performer_attention import PerformerAttention
from cervix_tf.layers.relative_attention import RelativeAttention
from cervix_tf.layers.self_attention import SelfAttention
from cervix_tf.layers.soft_split import SoftSplit
from cervix_tf.layers.token_embedding import TokenEmbedding


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def test_self_attention_weighs_the_values_of_each_head():
    x = normal(2, 5, 3 * 6)
    query, key, value = (x[..., i * 6 : (i + 1) * 6] for i in range(3))
    expected = np.zeros((2, 5, 6))
    for image in range(2):
        for head in (slice(0, 3), slice(3, 6)):
            for token in range(5):
                weights = softmax(key[image, :, head] @ query[image, token, head] / np.sqrt(3))
                expected[image, token, head] = weights @ value[image, :, head]
    np.testing.assert_allclose(SelfAttention(2)(x), expected, rtol=1e-4, atol=1e-5)


def test_relative_attention_adds_what_a_query_says_of_the_distances():
    height, width, maps = 2, 3, 8
    x = normal(2, height, width, 3 * maps)
    layer = RelativeAttention(2)
    layer.build(x.shape)
    rows, columns = np.asarray(layer.rel_height), np.asarray(layer.rel_width)
    assert rows.shape == (3, 4)
    assert columns.shape == (5, 4)
    query, key, value = (x[..., i * maps : (i + 1) * maps] for i in range(3))
    expected = np.zeros((2, height, width, maps))
    places = [(i, j) for i in range(height) for j in range(width)]
    for image in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            for i, j in places:
                q = query[image, i, j, head] / np.sqrt(4)
                logits = [
                    q @ (key[image, a, b, head] + rows[a - i + height - 1] + columns[b - j + width - 1])
                    for a, b in places
                ]
                values = np.array([value[image, a, b, head] for a, b in places])
                expected[image, i, j, head] = softmax(np.array(logits)) @ values
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_performer_attention_is_attention_with_its_random_features():
    x = normal(1, 4, 3 * 6) / 2
    layer = PerformerAttention()
    actual = np.asarray(layer(x))
    w = np.asarray(layer.w)
    assert w.shape == (3, 6)
    np.testing.assert_allclose(w @ w.T, 3 * np.eye(3), atol=1e-5)  # orthogonal, of length sqrt(features)

    def positive(v):
        return np.exp(w @ v - v @ v / 2) / np.sqrt(3)

    key, query, value = (x[0, :, i * 6 : (i + 1) * 6] for i in range(3))
    for token in range(4):
        weights = np.array([positive(query[token]) @ positive(k) for k in key])
        np.testing.assert_allclose(actual[0, token], weights @ value / (weights.sum() + 1e-8), rtol=1e-4)
    assert layer.trainable_variables == []


def test_performer_features_estimate_the_exponential_of_the_product():
    keras.utils.set_random_seed(0)
    q, k = normal(8) / 4, normal(8, seed=1) / 4
    estimates = []
    for _ in range(80):
        layer = PerformerAttention()
        layer.build((1, 2, 24))
        estimates.append(float(np.sum(np.asarray(layer._positive(q[None])) * np.asarray(layer._positive(k[None])))))
    # w has length sqrt(features) = 2 rather than about sqrt(8): each estimate is of exp(q k' scaled by 4 / 8).
    scaled = np.exp(np.sum((q + k) ** 2) * (4 / 8) / 2 - (q @ q + k @ k) / 2)
    assert np.mean(estimates) == pytest.approx(scaled, rel=0.1)


def test_soft_split_takes_windows_row_by_row_with_all_pixels_of_a_map_together():
    x = normal(2, 9, 7, 3)
    layer = SoftSplit(3, 2, 1)
    tokens = np.asarray(layer(x))
    assert layer.grid(x.shape) == (5, 4)
    assert tokens.shape == (2, 20, 27) == (2, *layer.compute_output_shape(x.shape)[1:])
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for row in range(5):
        for column in range(4):
            window = framed[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            np.testing.assert_array_equal(tokens[:, row * 4 + column], window.transpose(0, 3, 1, 2).reshape(2, 27))


def test_the_class_token_stands_first_and_every_token_gets_its_position():
    x = normal(2, 3, 4)
    layer = TokenEmbedding()
    actual = np.asarray(layer(x))
    token, positions = np.asarray(layer.cls_token)[0, 0], np.asarray(layer.pos_embed)[0]
    np.testing.assert_allclose(actual[:, 0], np.tile(token + positions[0], (2, 1)), rtol=1e-6)
    np.testing.assert_allclose(actual[:, 1:], x + positions[1:], rtol=1e-5, atol=1e-6)
    assert len(layer.trainable_variables) == 2


def test_the_distillation_token_stands_between_the_class_token_and_the_others():
    x = normal(2, 3, 4)
    layer = TokenEmbedding(distilled=True)
    actual = np.asarray(layer(x))
    assert actual.shape == (2, 5, 4) == (2, *layer.compute_output_shape(x.shape)[1:])
    positions = np.asarray(layer.pos_embed)[0]
    for at, token in enumerate((layer.cls_token, layer.dist_token)):
        np.testing.assert_allclose(actual[0, at], np.asarray(token)[0, 0] + positions[at], rtol=1e-6)
    np.testing.assert_allclose(actual[:, 2:], x + positions[2:], rtol=1e-5, atol=1e-6)


def test_positions_of_sines_are_fixed():
    layer = TokenEmbedding(sines=True)
    layer(normal(1, 3, 4))
    positions = np.asarray(layer.pos_embed)[0]
    for place in range(4):
        slow = place / 100  # 10000 ** (2 / 4)
        expected = [np.sin(place), np.cos(place), np.sin(slow), np.cos(slow)]
        np.testing.assert_allclose(positions[place], expected, atol=1e-6)
    assert [variable.name for variable in layer.trainable_variables] == ["cls_token"]


def test_shuffling_deals_the_groups_out_and_splitting_cuts_them():
    x = np.arange(6, dtype="float32").reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(np.ravel(ChannelShuffle(2)(x)), [0, 3, 1, 4, 2, 5])
    first, second, third = ChannelSplit(3)(x)
    np.testing.assert_array_equal([np.ravel(first), np.ravel(second), np.ravel(third)], [[0, 1], [2, 3], [4, 5]])
