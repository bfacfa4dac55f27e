import numpy as np
import pytest

from cervix_tf.layers import SimCLRProjection


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(7, 12)).astype("float32")


def test_it_is_a_dense_layer_with_relu_whose_rows_have_length_1(features):
    layer = SimCLRProjection(16)
    found = np.asarray(layer(features))
    kernel, bias = layer.get_weights()
    dense = np.maximum(features @ kernel + bias, 0)
    np.testing.assert_allclose(found, dense / np.linalg.norm(dense, axis=1, keepdims=True), rtol=1e-5, atol=1e-7)
    assert found.shape == (7, 16) and found.min() == 0


def test_without_normalization_rows_keep_their_length(features):
    layer = SimCLRProjection(16, normalize=False)
    found = np.asarray(layer(features))
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(found, np.maximum(features @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
