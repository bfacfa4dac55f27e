import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers import L2Embedding


def test_every_row_gets_length_1_and_keeps_its_direction():
    rows = np.random.default_rng(0).normal(size=(50, 7)) * 10.0 ** np.arange(-3, 4)[:, None].repeat(8, 0)[:50]
    found = L2Embedding()(rows)
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_by_hand():
    np.testing.assert_allclose(L2Embedding()(np.array([[3.0, 4.0], [0.0, -2.0]])), [[0.6, 0.8], [0, -1]], rtol=1e-6)


def test_an_all_zero_row_stays_zero_with_a_finite_gradient():
    rows = tf.zeros((1, 4))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        found = L2Embedding()(rows)
    assert not found.numpy().any()
    assert np.isfinite(tape.gradient(found, rows)).all()


def test_sixteen_bit_features_do_not_overflow():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = L2Embedding()(np.full((1, 1280), 60, "float16"))  # the squares sum to 4.6 million
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, 1280**-0.5, rtol=1e-6)
    finally:
        keras.config.set_dtype_policy(before)


def test_tflite_converts_it_to_its_own_l2_normalization(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L2Embedding()(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    converted = tf.lite.TFLiteConverter.from_keras_model(again).convert()
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=converted)
    names = {operation["op_name"] for operation in interpreter._get_ops_details()}
    assert "L2_NORMALIZATION" in names and "RSQRT" not in names
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([[1, 2, 2, 4]], "float32"))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert found[0] == pytest.approx([0.2, 0.4, 0.4, 0.8])
