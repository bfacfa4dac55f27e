"""FusedBatchNormalization against keras.layers.BatchNormalization, number by number."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers.fuse import fuse
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization


def pair(shape, **options):
    """Keras' layer and ours, built, with the same random weights."""
    rng = np.random.default_rng(0)
    layers = [kind(**options) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]
    for layer in layers:
        layer.build(shape)
    weights = [rng.uniform(0.5, 2.0, weight.shape) for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def images(*shape):
    return np.random.default_rng(1).normal(3.0, 2.0, shape).astype("float32")


def uses_fused_operation(layer, inputs, **call):
    graph = (
        tf.function(lambda x: layer(x, **call)).get_concrete_function(tf.TensorSpec(inputs.shape, inputs.dtype)).graph
    )
    return any(operation.type == "FusedBatchNormV3" for operation in graph.get_operations())


def outputs_and_gradients(layer, x, upstream, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, "float32") * upstream)
    return y, tape.gradient(loss, [x, *layer.trainable_variables])


def backbone(seed=0):
    """A small functional network with a network inside, both with normalization."""
    keras.utils.set_random_seed(seed)
    inner_input = keras.Input((None, None, 6))
    inner = keras.layers.BatchNormalization(name="inner_bn")(inner_input)
    inner = keras.layers.ReLU()(keras.layers.Conv2D(5, 3, name="inner_conv")(inner))
    inner = keras.Model(inner_input, inner, name="inner")
    inputs = keras.Input((12, 9, 3))
    maps = keras.layers.Conv2D(6, 3, use_bias=False, name="conv")(inputs)
    maps = keras.layers.BatchNormalization(momentum=0.999, name="bn")(maps)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(inner(maps))
    model = keras.Model(inputs, keras.layers.Dense(4, name="dense")(pooled))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1.0, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"epsilon": 1e-7}])
def test_inference_equals_keras(options):
    theirs, ours = pair((None, 5, 7, 4), **options)
    x = images(3, 5, 7, 4)
    assert uses_fused_operation(ours, x, training=False)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"momentum": 0.9}])
def test_training_output_statistics_and_gradients_equal_keras(options, in_graph):
    theirs, ours = pair((None, 3, 2, 4), **options)
    x = tf.constant(images(3, 3, 2, 4))  # 18 values a channel: n / (n - 1) differs by 6 %
    target = tf.constant(images(3, 3, 2, 4)[::-1].copy())
    results = []
    for layer in (theirs, ours):

        def step(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum((y - target) ** 2)
            return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]

        run = tf.function(step) if in_graph else step
        results.append([np.asarray(value) for value in run(x)] + layer.get_weights())
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(ours.moving_variance, pair((None, 3, 2, 4), **options)[1].moving_variance)


def test_one_value_a_channel_gives_finite_statistics():
    theirs, ours = pair((None, 1, 1, 4))
    x = images(1, 1, 1, 4)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5)


def test_a_frozen_layer_uses_and_keeps_its_moving_statistics():
    theirs, ours = pair((None, 5, 7, 4))
    theirs.trainable = ours.trainable = False
    before = ours.get_weights()
    x = images(3, 5, 7, 4)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=False), rtol=1e-5, atol=1e-5)
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("channels", [16, 24])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sixteen_bit_inputs_stay_fused_and_agree_with_keras(policy, training, channels):
    theirs, ours = pair((None, 5, 7, channels), dtype=policy)
    x = tf.cast(images(3, 5, 7, channels), policy.removeprefix("mixed_"))
    assert uses_fused_operation(ours, x, training=training)
    upstream = images(3, 5, 7, channels)
    (expected, expected_slopes), (actual, slopes) = (
        outputs_and_gradients(layer, x, upstream, training) for layer in (theirs, ours)
    )
    assert actual.dtype == expected.dtype == x.dtype
    np.testing.assert_allclose(tf.cast(actual, "float32"), tf.cast(expected, "float32"), rtol=0.01, atol=0.02)
    for expected, actual in zip(expected_slopes, slopes, strict=True):
        assert actual.dtype == expected.dtype
        scale = np.abs(tf.cast(expected, "float32")).max()
        np.testing.assert_allclose(
            tf.cast(actual, "float32") / scale, tf.cast(expected, "float32") / scale, atol=0.02
        )  # 8 bits: 0.004
    for expected, actual in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((6, 4), {}),
        ((6, 5, 4), {}),
        ((2, 4, 3, 5), {"axis": 1}),
        ((2, 3, 3, 4), {"synchronized": True}),
        ((2, 3, 3, 4), {"renorm": True}),
        ((2, 3, 3, 4), {"dtype": "float64"}),
    ],
)
def test_where_it_cannot_fuse_it_is_keras_own_layer(shape, options):
    theirs, ours = pair((None, *shape[1:]), **options)
    x = images(*shape)
    assert not uses_fused_operation(ours, x, training=True)
    for training in (True, False):
        np.testing.assert_array_equal(ours(x, training=training), theirs(x, training=training))
    for expected, actual in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_mask_is_respected():
    theirs, ours = pair((None, 5, 7, 4))
    x = images(3, 5, 7, 4)
    mask = np.random.default_rng(2).random((3, 5, 7)) > 0.5
    np.testing.assert_array_equal(ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask))
    np.testing.assert_array_equal(ours.moving_mean, theirs.moving_mean)


def test_configuration_equals_keras_and_comes_back():
    options = {"momentum": 0.9, "epsilon": 1e-5, "scale": False, "name": "bn"}
    config = FusedBatchNormalization(**options).get_config()
    assert config == keras.layers.BatchNormalization(**options).get_config()
    assert FusedBatchNormalization.from_config(config).get_config() == config


def test_fuse_replaces_every_normalization_and_keeps_the_predictions():
    model = backbone()
    fused = fuse(model)
    assert type(fused.get_layer("bn")) is FusedBatchNormalization
    assert type(fused.get_layer("inner").get_layer("inner_bn")) is FusedBatchNormalization
    assert type(model.get_layer("bn")) is keras.layers.BatchNormalization
    x = images(2, 12, 9, 3)
    np.testing.assert_allclose(fused(x), model(x), rtol=1e-5, atol=1e-5)


def test_fuse_changes_the_momentum_only_when_told():
    assert fuse(backbone()).get_layer("bn").momentum == 0.999
    changed = fuse(fuse(backbone()), momentum=0.9)
    assert changed.get_layer("bn").momentum == 0.9
    assert changed.get_layer("inner").get_layer("inner_bn").momentum == 0.9


def test_fuse_keeps_frozen_layers_frozen():
    model = backbone()
    model.get_layer("inner").trainable = False
    fused = fuse(model)
    assert [v.path for v in fused.trainable_variables] == [v.path for v in model.trainable_variables]


def test_weight_files_load_both_ways(tmp_path):
    first, second = backbone(1), backbone(2)
    fused = fuse(first)
    fused.save_weights(tmp_path / "fused.weights.h5")
    second.load_weights(tmp_path / "fused.weights.h5")
    third = fuse(backbone(3))
    second.save_weights(tmp_path / "plain.weights.h5")
    third.load_weights(tmp_path / "plain.weights.h5")
    for expected, middle, last in zip(first.weights, second.weights, third.weights, strict=True):
        np.testing.assert_array_equal(middle, expected)
        np.testing.assert_array_equal(last, expected)


def test_a_saved_model_file_comes_back_fused(tmp_path):
    fused = fuse(backbone())
    fused.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("bn")) is FusedBatchNormalization
    x = images(2, 12, 9, 3)
    np.testing.assert_array_equal(again(x), fused(x))


def test_exports_are_those_of_the_plain_network(tmp_path):
    """The TFLite files hold the same operations and tensors in as many bytes, but for the tensors' names."""
    from ai_edge_litert.interpreter import Interpreter

    model = backbone()
    x = images(1, 12, 9, 3)
    contents, sizes = [], []
    for name, network in (("plain", model), ("fused", fuse(model))):
        network.export(tmp_path / name, verbose=False)
        served = tf.saved_model.load(str(tmp_path / name))
        np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-5, atol=1e-5)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / name))
        content = converter.convert()
        interpreter = Interpreter(model_content=content)
        operations = [operation["op_name"] for operation in interpreter._get_ops_details()]
        run = interpreter.get_signature_runner()
        (output,) = run(**{next(iter(run.get_input_details())): x}).values()
        np.testing.assert_allclose(output, model(x), rtol=1e-5, atol=1e-5)
        tensors = sorted((t["shape"].tolist(), str(t["dtype"])) for t in interpreter.get_tensor_details())
        names = sum(len(t["name"]) for t in interpreter.get_tensor_details())
        contents.append((operations, tensors))
        sizes.append(len(content) - names)
    assert contents[0] == contents[1]
    assert sizes[0] == pytest.approx(sizes[1], abs=4 * len(contents[0][1]))  # names are filled up to four bytes
    assert sizes[0] == pytest.approx(sizes[1], abs=4 * len(contents[0][1]))  # names are filled up to four bytes
    assert contents[0][0] == ["CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]  # normalization folded away


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_keras_applications_are_fused_in_one_line(name):
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
    fused = fuse(model, momentum=0.9)
    kinds = [type(layer) for layer in fused.layers]
    assert keras.layers.BatchNormalization not in kinds
    assert kinds.count(FusedBatchNormalization) == [type(layer) for layer in model.layers].count(
        keras.layers.BatchNormalization
    )
    x = images(1, 32, 32, 3)
    np.testing.assert_allclose(fused(x), model(x), rtol=1e-5, atol=1e-5)
