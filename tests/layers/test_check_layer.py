"""What holds of every registered layer, whatever it computes: shapes, files, dtype policies, gradients."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf import layers

IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
import keras, numpy as np
import cervix_tf.layers
for file in Path(sys.argv[1]).glob("*.keras"):
    model = keras.saving.load_model(file)
    outputs = model(np.load(file.with_suffix(".npy")))
    np.savez(file.with_suffix(".npz"), *(outputs if isinstance(outputs, list | tuple) else [outputs]))
    file.with_suffix(".json").write_text(json.dumps(model.layers[-1].get_config()))
"""


class Check(NamedTuple):
    """A layer, how it is made, and what comes out of it."""

    make: Callable[[], keras.layers.Layer]
    takes: tuple[int, ...]
    """Shape of what goes in, without the batch."""
    gives: list[tuple[int, ...]]
    """Shape of each tensor that comes out, without the batch."""
    precise: bool = False
    """Gives float32 whatever the policy."""


CHECKS = {
    "Bfloat16DepthwiseConv2D": Check(
        lambda: layers.Bfloat16DepthwiseConv2D(3, strides=2, padding="same", use_bias=False), (6, 8, 4), [(3, 4, 4)]
    ),
    "Bfloat16ReLU6": Check(lambda: layers.Bfloat16ReLU6(6.0), (6, 8, 4), [(6, 8, 4)]),
    "ChannelShuffle": Check(lambda: layers.ChannelShuffle(3), (4, 5, 6), [(4, 5, 6)]),
    "ChannelSplit": Check(lambda: layers.ChannelSplit(3), (4, 5, 6), [(4, 5, 2)] * 3),
    "FusedBatchNormalization": Check(lambda: layers.FusedBatchNormalization(momentum=0.9), (4, 5, 6), [(4, 5, 6)]),
    "GELUDense": Check(lambda: layers.GELUDense(8, activation="gelu"), (5, 6), [(5, 8)]),
    "GroupedConv2D": Check(lambda: layers.GroupedConv2D(8, 3, strides=2, groups=2), (7, 9, 4), [(3, 4, 8)]),
    "InvertedResidualFusion": Check(
        lambda: layers.InvertedResidualFusion(3, 2, dropout=0.3, seed=5), (4, 5, 6), [(4, 5, 3)]
    ),
    "L2Embedding": Check(layers.L2Embedding, (12,), [(12,)], precise=True),
    "PerformerAttention": Check(layers.PerformerAttention, (5, 24), [(5, 8)], precise=True),
    "RelativeAttention": Check(lambda: layers.RelativeAttention(2), (3, 4, 24), [(3, 4, 8)]),
    "ResizePixels": Check(lambda: layers.ResizePixels(6, 5), (9, 4, 3), [(6, 5, 3)], precise=True),
    "SelfAttention": Check(lambda: layers.SelfAttention(2), (5, 24), [(5, 8)]),
    "SimCLRProjection": Check(lambda: layers.SimCLRProjection(8), (12,), [(8,)], precise=True),
    "SoftSplit": Check(lambda: layers.SoftSplit(3, 2, 1), (9, 7, 3), [(20, 27)]),
    "StridedPointwiseConv2D": Check(
        lambda: layers.StridedPointwiseConv2D(8, 1, strides=2, activation="relu"), (7, 4, 3), [(4, 2, 8)]
    ),
    "TokenEmbedding": Check(layers.TokenEmbedding, (5, 8), [(6, 8)]),
    "TokenEmbedding of sines": Check(lambda: layers.TokenEmbedding(sines=True), (5, 8), [(6, 8)]),
    "TokenEmbedding of two learned tokens": Check(lambda: layers.TokenEmbedding(distilled=True), (5, 8), [(7, 8)]),
    "ViewDropout": Check(lambda: layers.ViewDropout(0.3, [(2, 1), (1, 2)], seed=5), (4, 5, 7), [(4, 5, 7)]),
}
every_layer = pytest.mark.parametrize("name", CHECKS)


def built(name, policy="float32"):
    """A model of the layer alone, made under a policy, with random weights, all positive as variances have to be."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input(CHECKS[name].takes)
        model = keras.Model(inputs, CHECKS[name].make()(inputs))
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.0, weight.shape) for weight in model.weights])
    return model


def batch(name):
    return np.random.default_rng(0).normal(0.5, 1.5, (4, *CHECKS[name].takes)).astype("float32")


def tensors(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def test_every_registered_layer_is_checked():
    registered = {
        key.removeprefix("cervix_tf>")
        for key, kind in keras.saving.get_custom_objects().items()
        if kind.__module__.startswith(layers.__name__) and issubclass(kind, keras.layers.Layer)
    }
    assert registered and registered == {name.split(" of ")[0] for name in CHECKS}


@every_layer
def test_shapes_are_known_before_there_are_values(name):
    model, expected = built(name), CHECKS[name].gives
    assert [output.shape for output in model.outputs] == [(None, *shape) for shape in expected]
    assert [output.shape for output in tensors(model(batch(name)))] == [(4, *shape) for shape in expected]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder of models of every layer, read in another process: all in one, since to start it takes the longest."""
    folder = tmp_path_factory.mktemp("layers")
    for name in CHECKS:
        built(name).save(folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", batch(name))
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@every_layer
def test_in_another_process_it_is_the_same_layer_with_the_same_outputs(name, elsewhere):
    model = keras.saving.load_model(elsewhere / f"{name}.keras")
    assert json.loads((elsewhere / f"{name}.json").read_text()) == json.loads(json.dumps(model.layers[-1].get_config()))
    with np.load(elsewhere / f"{name}.npz") as found:
        for expected, output in zip(tensors(built(name)(batch(name))), found.values(), strict=True):
            np.testing.assert_array_equal(output, expected)


@pytest.fixture(scope="module")
def on_jax(elsewhere):
    """The same folder, its outputs computed by Keras on JAX."""
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(elsewhere)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return elsewhere


@every_layer
def test_on_jax_its_outputs_are_the_same_up_to_rounding(name, on_jax):
    with np.load(on_jax / f"{name}.npz") as found:
        for expected, output in zip(tensors(built(name)(batch(name))), found.values(), strict=True):
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


@every_layer
def test_under_a_mixed_policy_weights_stay_float32_and_outputs_are_close(name):
    exact, model = built(name), built(name, "mixed_bfloat16")
    assert {weight.dtype for weight in model.weights} <= {"float32"}
    for reference, output in zip(tensors(exact(batch(name))), tensors(model(batch(name))), strict=True):
        assert reference.dtype == "float32" and output.dtype == ("float32" if CHECKS[name].precise else "bfloat16")
        apart = np.abs(tf.cast(output, "float32") - reference).max() / np.abs(reference).max()
        assert apart < 0.03  # bfloat16 has 8 bits


@every_layer
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_gradients_are_finite_and_reach_every_weight_and_the_input(name, policy):
    model, x = built(name, policy), tf.constant(batch(name))
    rng = np.random.default_rng(2)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = [tf.cast(output, "float32") for output in tensors(model(x, training=True))]
        loss = tf.add_n([tf.reduce_sum(output * rng.normal(size=output.shape)) for output in outputs])
    reached = {"input": x, **{weight.path: weight.value for weight in model.trainable_weights}}
    for path, gradient in zip(reached, tape.gradient(loss, list(reached.values())), strict=True):
        assert gradient is not None, path
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, path
