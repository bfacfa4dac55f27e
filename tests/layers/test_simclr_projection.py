import keras
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


def test_under_a_mixed_precision_policy_rows_come_out_in_float32(features):
    found = SimCLRProjection(16, dtype="mixed_bfloat16")(features)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_a_model_with_it_comes_back_from_a_file(features, tmp_path):
    model = keras.Sequential([keras.Input((12,)), SimCLRProjection(8, normalize=True)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (again.layers[0].width, again.layers[0].normalize, model.output_shape) == (8, True, (None, 8))
    assert np.array_equal(again.predict(features, verbose=0), model.predict(features, verbose=0))
