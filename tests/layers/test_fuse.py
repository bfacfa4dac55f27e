"""Copies of networks: faster layers give what the plain ones give, in float32 and bfloat16."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers import Bfloat16DepthwiseConv2D, Bfloat16ReLU6, GELUDense, StridedPointwiseConv2D, fuse, in_float32
from cervix_tf.models import backbones
from cervix_tf.training import devices


def images(*shape):
    return np.random.default_rng(1).normal(3.0, 2.0, shape).astype("float32")


def padded(size=(12, 9), padding=((0, 1), (1, 1)), **convolution):
    inputs = keras.Input((*size, 3))
    maps = keras.layers.ZeroPadding2D(padding, name="pad")(inputs)
    options = {"kernel_size": 3, "strides": 2, "padding": "valid", **convolution}
    maps = keras.layers.DepthwiseConv2D(name="depthwise", **options)(maps)
    return keras.Model(inputs, keras.layers.ReLU(6.0, name="relu")(maps))


def gradients(layer, x, upstream, **how):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **how)
        loss = tf.reduce_sum(tf.cast(y, "float32") * upstream)
    return [tf.cast(each, "float32") for each in (y, *tape.gradient(loss, [x, *layer.trainable_variables]))]


def test_relu6_in_bfloat16_and_its_gradient_are_those_of_keras():
    x = tf.cast(tf.constant([-3.0, -0.0, 0.0, 0.5, 5.97, 6.0, 6.1, 900.0, np.inf, np.nan] * 5), "bfloat16")
    theirs, ours = (
        gradients(kind(6.0, dtype="bfloat16"), x, 2.0) for kind in (keras.layers.ReLU, Bfloat16ReLU6)
    )  # fmt: skip
    for expected, actual in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(actual, expected)


def gelu_pair(dtype):
    """Keras' dense layer with GELU and ours, weights alike."""
    theirs, ours = (kind(5, activation="gelu", dtype=dtype) for kind in (keras.layers.Dense, GELUDense))
    for layer in (theirs, ours):
        layer.build((None, 3))
    theirs.bias.assign([-2.0, -0.5, 0.0, 1.0, 3.0])
    ours.set_weights(theirs.get_weights())
    return theirs, ours


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("mixed_bfloat16", 0.02)])  # 8 bits: 0.004
def test_gelu_in_training_and_its_gradients_are_those_of_keras(dtype, tolerance):
    x, upstream = images(4, 7, 3) - 3.0, images(4, 7, 5)
    theirs, ours = (gradients(layer, x, upstream, training=True) for layer in gelu_pair(dtype))
    for expected, actual in zip(theirs, ours, strict=True):
        assert expected.shape == actual.shape
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_gelu_far_out_and_its_slope_are_zero_or_its_argument_and_one():
    layer = GELUDense(1, activation="gelu", kernel_initializer="ones")
    x = np.array([[-1e30], [-40.0], [0.0], [40.0], [1e15]], "float32")
    y, slope, *_ = gradients(layer, x, 1.0, training=True)
    np.testing.assert_array_equal(np.ravel(y), [-0.0, -0.0, 0.0, 40.0, np.float32(1e15)])
    np.testing.assert_array_equal(np.ravel(slope), [0.0, 0.0, 0.5, 1.0, 1.0])


def test_outside_training_gelu_is_keras_own_so_that_an_export_holds_nothing_of_xla():
    theirs, ours = gelu_pair("float32")
    x = images(2, 3)
    np.testing.assert_array_equal(ours(x, training=False), theirs(x, training=False))
    inputs = keras.Input((3,))
    function = tf.function(keras.Model(inputs, ours(inputs)))
    graph = function.get_concrete_function(tf.TensorSpec((None, 3)), training=False).graph
    assert not any("PartitionedCall" in each.type for each in graph.get_operations())
    graph = function.get_concrete_function(tf.TensorSpec((None, 3)), training=True).graph
    assert any("PartitionedCall" in each.type for each in graph.get_operations())


def test_whether_it_trains_may_be_known_only_while_it_runs():
    inputs = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 1, strides=2)(inputs)
    model = fuse(keras.Model(inputs, keras.layers.Dense(5, activation="gelu")(maps)))
    assert {type(layer) for layer in model.layers} > {GELUDense, StridedPointwiseConv2D}
    x = images(2, 8, 8, 3)
    answer = tf.function(lambda x, training: model(x, training=training))(x, tf.constant(True))
    np.testing.assert_allclose(answer, model(x, training=False), rtol=1e-6)


def test_gelu_in_float64_stays_precise():
    theirs, ours = gelu_pair("float64")
    x = tf.cast(images(4, 3), "float64")
    np.testing.assert_allclose(ours(x, training=True), theirs(x), rtol=1e-14)


def test_channels_last_may_be_a_layers_own_choice():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        layer = StridedPointwiseConv2D(5, 1, strides=2, data_format="channels_last")
        x = images(2, 6, 6, 3)
        np.testing.assert_allclose(layer(x, training=True), layer(x), rtol=1e-6, atol=1e-6)
    finally:
        keras.config.set_image_data_format(before)


@pytest.mark.parametrize("activation", ["gelu", "relu", None])
def test_of_dense_layers_those_with_gelu_are_replaced_and_weight_files_load_both_ways(activation, tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(5, activation=activation, name="dense")(inputs))
    fused = fuse(model)
    assert type(fused.get_layer("dense")) is (GELUDense if activation == "gelu" else keras.layers.Dense)
    model.save_weights(tmp_path / "plain.weights.h5")
    fused.set_weights([np.zeros_like(each) for each in fused.get_weights()])
    fused.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(fused.get_weights()[0], model.get_weights()[0])
    fused.save_weights(tmp_path / "fused.weights.h5")
    model.load_weights(tmp_path / "fused.weights.h5")


@pytest.mark.parametrize("options", [{"padding": "same"}, {}, {"activation": "relu", "kernel_size": 5}])
def test_strided_depthwise_convolution_in_bfloat16_is_that_of_keras_with_a_finer_gradient(options):
    options = {"kernel_size": 3, "strides": 2, "dtype": "mixed_bfloat16", "use_bias": False, **options}
    theirs, ours = (
        kind(**options, depthwise_initializer=keras.initializers.RandomNormal(seed=0))
        for kind in (keras.layers.DepthwiseConv2D, Bfloat16DepthwiseConv2D)
    )
    x = tf.cast(images(2, 12, 9, 3), "bfloat16")
    upstream = tf.cast(images(*theirs(x).shape), "float32")
    expected, actual = gradients(theirs, x, upstream), gradients(ours, x, upstream)
    np.testing.assert_array_equal(actual[0], expected[0])
    for theirs_gradient, our_gradient in zip(expected[1:], actual[1:], strict=True):
        scale = np.abs(theirs_gradient).max()
        np.testing.assert_allclose(our_gradient / scale, theirs_gradient / scale, atol=0.01)  # 8 bits: 0.004


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [(12, 9), (11, 10), (1, 2)])
@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"strides": (3, 2), "padding": "same", "use_bias": False}, {"activation": "tanh"}]
)
def test_a_strided_pointwise_convolution_in_training_and_its_gradients_are_those_of_keras(options, size, dtype):
    options = {"filters": 4, "kernel_size": 1, "strides": 2, "dtype": dtype, **options}
    theirs, ours = (kind(**options) for kind in (keras.layers.Conv2D, StridedPointwiseConv2D))
    x = images(2, *size, 3)
    for layer in (theirs, ours):
        layer.build(x.shape)
    ours.set_weights([each + 0.1 for each in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    upstream = tf.cast(images(*theirs(x).shape), "float32")
    expected, actual = (gradients(theirs, x, upstream), gradients(ours, x, upstream, training=True))
    for their_value, our_value in zip(expected, actual, strict=True):
        scale = np.abs(their_value).max()
        np.testing.assert_allclose(
            our_value / scale, their_value / scale, atol=1e-6 if dtype == "float32" else 0.02
        )  # 8 bits: 0.004
    np.testing.assert_array_equal(tf.cast(ours(x), "float32"), tf.cast(theirs(x), "float32"))


@pytest.mark.parametrize(
    ("options", "replaced"),
    [({"strides": 2}, True), ({}, False), ({"strides": 2, "kernel_size": 3}, False), ({"groups": 3}, False)],
)
def test_of_convolutions_strided_pointwise_ones_are_replaced_and_weight_files_load_both_ways(
    options, replaced, tmp_path
):
    inputs = keras.Input((12, 9, 3))
    layer = keras.layers.Conv2D(**{"filters": 6, "kernel_size": 1, "name": "conv", **options})
    model = keras.Model(inputs, layer(inputs))
    fused = fuse(model)
    assert type(fused.get_layer("conv")) is (StridedPointwiseConv2D if replaced else keras.layers.Conv2D)
    x = images(2, 12, 9, 3)
    np.testing.assert_array_equal(fused(x), model(x))
    model.save_weights(tmp_path / "plain.weights.h5")
    fused.set_weights([np.zeros_like(each) for each in fused.get_weights()])
    fused.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(fused(x), model(x))
    fused.save_weights(tmp_path / "fused.weights.h5")
    model.load_weights(tmp_path / "fused.weights.h5")


@pytest.mark.parametrize("size", [(12, 9), (11, 10)])
def test_padding_becomes_the_convolutions_own_where_that_is_the_same(size):
    model = padded(size, tuple((1, 1) if side % 2 else (0, 1) for side in size))
    fused = fuse(model)
    assert type(fused.get_layer("pad")) is keras.layers.Identity
    assert fused.get_layer("depthwise").padding == "same"
    x = images(2, *size, 3)
    np.testing.assert_allclose(fused(x), model(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "changed", [{"padding": ((1, 1), (1, 1))}, {"size": (None, None)}, {"kernel_size": 5}, {"strides": 1}]
)
def test_padding_stays_where_it_is_not_the_same(changed):
    model = padded(**changed)
    fused = fuse(model)
    assert type(fused.get_layer("pad")) is keras.layers.ZeroPadding2D
    assert fused.get_layer("depthwise").padding == "valid"
    x = images(2, 12, 9, 3)
    np.testing.assert_array_equal(fused(x), model(x))


def test_padding_that_something_else_reads_too_stays():
    model = padded()
    both = keras.Model(model.input, [model.output, model.get_layer("pad").output * 2.0])
    assert type(fuse(both).get_layer("pad")) is keras.layers.ZeroPadding2D


def test_padding_stays_before_a_convolution_that_reads_other_maps_without_it():
    shared = keras.layers.DepthwiseConv2D(3, strides=2, name="shared")
    small, large = keras.Input((11, 9, 3)), keras.Input((13, 11, 3))
    model = keras.Model([small, large], [shared(keras.layers.ZeroPadding2D(1)(small)), shared(large)])
    inputs = [images(2, 11, 9, 3), images(2, 13, 11, 3)]
    for expected, actual in zip(model(inputs), fuse(model)(inputs), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_weight_files_of_strided_depthwise_convolutions_load_both_ways(tmp_path):
    plain, fused = padded(), fuse(padded())
    plain.save_weights(tmp_path / "plain.weights.h5")
    fused.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(fused.get_weights()[0], plain.get_weights()[0])
    fused.save(tmp_path / "fused.keras")
    again = keras.saving.load_model(tmp_path / "fused.keras")
    assert type(again.get_layer("depthwise")) is Bfloat16DepthwiseConv2D
    plain.load_weights(tmp_path / "plain.weights.h5")


def test_a_network_of_mixed_precision_becomes_one_that_computes_in_float32():
    with devices.precision("bfloat16"):
        inner = padded()
        inputs = keras.Input((12, 9, 3))
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inner(inputs)), name="outer")
    assert keras.config.dtype_policy().name == "float32"
    precise = in_float32(model)
    x = images(2, 12, 9, 3)
    assert model(x).dtype == "bfloat16" and precise(x).dtype == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    reference = padded()
    reference.set_weights(model.get_weights())
    np.testing.assert_allclose(precise(x), reference(x).numpy().mean((1, 2)), rtol=1e-5)
    assert not np.array_equal(tf.cast(model(x), "float32"), precise(x))


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_a_trunk_whose_colors_are_swapped_between_its_layers_is_copied_in_full_precision_too(name):
    with devices.precision("bfloat16"):
        trunk = backbones.backbone(name, 64, 64, weights="random")
    precise = in_float32(fuse(trunk))
    reference = backbones.backbone(name, 64, 64, weights="random")
    reference.set_weights(trunk.get_weights())
    x = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(precise(x), reference(x), rtol=1e-3, atol=1e-3 * np.max(reference(x)))


def test_a_head_of_float32_does_not_hide_layers_of_16_bits():
    with devices.precision("bfloat16"):
        pixels = keras.Input((3,))
        inner = keras.Input((3,))
        trunk = keras.Model(inner, keras.layers.Dense(4)(inner))
    classifier = keras.Model(pixels, keras.layers.Dense(2, dtype="float32")(trunk(pixels)))
    assert classifier.dtype_policy.name == "float32"  # says nothing of its layers
    found = in_float32(classifier)
    assert found is not classifier and found.layers[1].layers[1].compute_dtype == "float32"
    assert in_float32(found) is found
