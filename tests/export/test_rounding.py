"""Weights rounded so that 8 bits lose little, against slow NumPy and on a network that plain rounding harms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from cervix_tf.contract import Contract
from cervix_tf.export import flatbuffer, rounding, saved_model
from cervix_tf.export.serving import serving_model

CONTRACT = Contract("t", ("a", "b", "c"), (), (), 16, 16, 16, 16, "1", "free", "Tests.", "drawn", True, False)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 50.0]))
@settings(max_examples=200, deadline=None)
def test_a_depthwise_kernel_keeps_each_channels_sum_to_half_a_step(seed, size):
    kernel = np.random.default_rng(seed).normal(0.3, 1, (1, 3, 3, 5)).astype(np.float32) * size
    found = rounding._on_grid(kernel, 3, keep_sums=True)
    for channel in range(5):
        exact, close = kernel[..., channel].astype(float), found[..., channel].astype(float)
        step = np.abs(exact).max() / 127
        assert close / step == pytest.approx(np.rint(close / step), abs=1e-3)
        assert np.abs(close / step).max() <= 127 + 1e-3
        assert np.abs(close - exact).max() <= 1.0 * step + 1e-6 * size
        assert abs((close - exact).sum()) <= 0.501 * step or np.abs(close / step).max() > 126


def test_a_channel_of_zeros_stays_zero():
    kernel = np.zeros((1, 3, 3, 2), np.float32)
    kernel[..., 1] = 0.5
    assert (rounding._on_grid(kernel, 3, keep_sums=True) == kernel).all()


def network():
    """Depthwise and 1x1 convolutions with ReLU6 as MobileNet has them."""
    keras.utils.set_random_seed(3)

    def about_one() -> keras.initializers.Initializer:  # one that is used twice gives the same values again
        return keras.initializers.RandomUniform(0.5, 1.5)

    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 100)(pixels)
    x = keras.layers.Conv2D(24, 3, activation="relu6", bias_initializer=about_one())(x)
    for _ in range(3):
        x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6", bias_initializer=about_one())(x)
        x = keras.layers.Conv2D(24, 1, bias_initializer=about_one())(x)
        x = keras.layers.Conv2D(24, 1, activation="relu6", bias_initializer=about_one())(x)
    return keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))


def test_what_8_bits_hold_answers_nearer_to_the_exact_weights_than_plain_rounding(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    smooth = rng.uniform(50, 200, (40, 1, 1, 3)) + rng.normal(0, 10, (40, 16, 16, 3))
    images = smooth.clip(0, 255).astype(np.uint8)
    saved_model.write(serving_model(network(), CONTRACT), CONTRACT, tmp_path / "model")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "model"), signature_keys=["fixed"])
    model = converter.convert()

    def answers(model):
        run = Interpreter(model_content=model).get_signature_runner("fixed")
        return np.concatenate([run(images=each[None])["probabilities"] for each in images[20:]])

    better = answers(rounding.rounded(model, "fixed", images[:20]))
    on_grid = rounding._on_grid
    monkeypatch.setattr(rounding, "_on_grid", lambda weights, axis, keep_sums: on_grid(weights, axis, False))
    monkeypatch.setattr(rounding, "_means", lambda model, signature, index, tensors, inputs: dict.fromkeys(tensors, 0))
    plain = answers(rounding.rounded(model, "fixed", images[:20]))
    exact = answers(model)
    assert np.abs(better - exact).mean() < 0.5 * np.abs(plain - exact).mean()


def test_what_comes_before_the_first_and_after_the_last_large_layer_is_named(single_run):
    converter = tf.lite.TFLiteConverter.from_saved_model(str(single_run.saved_model), signature_keys=["fixed"])
    model = converter.convert()
    whole = flatbuffer.unpacked(model)
    (graph,) = whole.subgraphs
    named = set(flatbuffer.edges(model))
    inside, outside = set(), set()
    for each in graph.operators:
        kinds = inside if graph.tensors[each.outputs[0]].name.decode() in named else outside
        kinds.add(flatbuffer.operator(whole, each))
    assert {"CAST", "RESIZE_BILINEAR", "MEAN", "FULLY_CONNECTED", "SOFTMAX"} <= inside
    assert outside == {"CONV_2D"}
