"""GroupedConv2D against loops over groups and against keras.layers.Conv2D."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers.grouped_conv2d import GroupedConv2D


def slow(images, kernel, groups, stride):
    """Unpadded grouped convolution, one output number after the other."""
    size, _, depth, filters = kernel.shape
    each = filters // groups
    rows, columns = ((side - size) // stride + 1 for side in images.shape[1:3])
    out = np.zeros((len(images), rows, columns, filters))
    for n, i, j, f in np.ndindex(*out.shape):
        group = f // each
        window = images[n, i * stride : i * stride + size, j * stride : j * stride + size]
        out[n, i, j, f] = np.sum(window[..., group * depth : (group + 1) * depth] * kernel[..., f])
    return out


def images(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (2, 1), (4, 2), (8, 1)])
def test_each_group_of_filters_sees_its_group_of_channels(groups, stride):
    layer = GroupedConv2D(16, 3, strides=stride, groups=groups)
    x = images(2, 7, 6, 8)
    y = layer(x)
    assert layer.kernel.shape == (3, 3, 8 // groups, 16)
    np.testing.assert_allclose(y, slow(x, np.asarray(layer.kernel), groups, stride), atol=1e-4)


def test_output_and_gradients_equal_keras_own_grouped_convolution():
    options = {"strides": 2, "padding": "same", "groups": 4, "activation": "relu"}
    layers = [kind(12, 3, **options) for kind in (keras.layers.Conv2D, GroupedConv2D)]
    x = tf.constant(images(2, 5, 6, 8))
    results = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights(layers[0].get_weights())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, *layer.trainable_variables])])
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_training_step_is_not_compiled_with_xla():
    layer = GroupedConv2D(8, 3, groups=4)
    layer.build((None, 5, 5, 8))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, layer.kernel.value)

    definition = step.get_concrete_function(tf.TensorSpec((2, 5, 5, 8))).graph.as_graph_def()
    assert "Conv2DBackpropFilter" in {node.op for node in definition.node}
    assert "_XlaMustCompile" not in str(definition)
