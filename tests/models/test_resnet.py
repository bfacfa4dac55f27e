"""ResNet and ResNeXt against a NumPy version of torchvision's definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.layers.grouped_conv2d import GroupedConv2D
from cervix_tf.models import resnet


def small(bottleneck=True, **options):
    """Two stages of one and two blocks, with random normalization statistics."""
    groups = {"groups": 4, "group_width": 8} if bottleneck else {}
    keras.utils.set_random_seed(0)
    network = resnet.resnet(
        (1, 2), bottleneck=bottleneck, **groups, **{"input_shape": (21, 26, 3), "classes": 5, **options}
    )
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if "bn" in weight.path or "downsample.1" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return network


def images(count, height=21, width=26):
    return np.random.default_rng(1).normal(size=(count, height, width, 3)).astype("float32")


class Torch:
    """torch.nn.functional on (batch, height, width, channels) arrays, by loops over kernel positions."""

    def __init__(self, network):
        self.network = network

    def windows(self, x, size, stride, padding, fill):
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=fill)
        rows, columns = ((side - size) // stride + 1 for side in x.shape[1:3])
        return [
            x[:, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
            for i in range(size)
            for j in range(size)
        ]

    def conv(self, x, name, stride=1, groups=1):
        kernel = np.asarray(self.network.get_layer(name).kernel)
        size, _, _, filters = kernel.shape
        flat = kernel.reshape(size * size, kernel.shape[2], groups, filters // groups)
        parts = [part.reshape(*part.shape[:3], groups, -1) for part in self.windows(x, size, stride, size // 2, 0)]
        out = sum(np.einsum("nhwgc,cgf->nhwgf", part, k) for part, k in zip(parts, flat, strict=True))
        return out.reshape(*out.shape[:3], filters)

    def bn(self, x, name):
        gamma, beta, mean, variance = self.network.get_layer(name).get_weights()
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def block(self, x, name, bottleneck, stride, groups):
        y = relu(self.bn(self.conv(x, f"{name}.conv1", 1 if bottleneck else stride), f"{name}.bn1"))
        if bottleneck:
            y = relu(self.bn(self.conv(y, f"{name}.conv2", stride, groups), f"{name}.bn2"))
            y = self.bn(self.conv(y, f"{name}.conv3"), f"{name}.bn3")
        else:
            y = self.bn(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
        if x.shape != y.shape:
            x = self.bn(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return relu(x + y)

    def forward(self, x, bottleneck, groups):
        x = relu(self.bn(self.conv(x, "conv1", 2), "bn1"))
        x = np.max(self.windows(x, 3, 2, 1, -np.inf), axis=0)
        x = self.block(x, "layer1.0", bottleneck, 1, groups)
        x = self.block(x, "layer2.0", bottleneck, 2, groups)
        x = self.block(x, "layer2.1", bottleneck, 1, groups)
        weight, bias = self.network.get_layer("fc").get_weights()
        return x.mean(axis=(1, 2)) @ weight + bias


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("size", [(21, 26), (32, 32)])
def test_logits_are_those_of_torchvisions_definition(bottleneck, size):
    network = small(bottleneck, input_shape=(*size, 3))
    x = images(2, *size)
    expected = Torch(network).forward(x.astype("float64"), bottleneck, 4 if bottleneck else 1)
    np.testing.assert_allclose(network(x, training=False), expected, rtol=1e-3, atol=1e-3)


def test_first_weights_differ_from_layer_to_layer_and_have_he_variance():
    network = resnet.resnet((2,), bottleneck=False, input_shape=(32, 32, 3))
    first, second = (np.asarray(network.get_layer(f"layer1.{block}.conv1").kernel) for block in (0, 1))
    assert not np.allclose(first, second)
    assert first.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)


def test_a_small_resnext_learns_to_tell_two_images_apart():
    network = small(classes=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss, run_eagerly=True)
    losses = [float(network.train_on_batch(images(2), np.array([0, 1]))) for _ in range(8)]
    assert losses[-1] < losses[0] / 2


def test_it_comes_back_from_a_file(tmp_path):
    network = small()
    network.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("layer2.0.conv2")) is GroupedConv2D
    np.testing.assert_array_equal(again(images(1)), network(images(1)))


def test_saved_model_and_tflite_give_the_same_logits_by_built_in_operations(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    network, x = small(), images(1)
    network.export(tmp_path / "served", verbose=False)
    expected = network(x, training=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.serve(x), expected, atol=1e-4)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "served"))
    interpreter = Interpreter(model_content=converter.convert())
    operations = {operation["op_name"] for operation in interpreter._get_ops_details()} - {"DELEGATE"}
    assert "CONV_2D" in operations
    assert not {name for name in operations if name.startswith("Flex") or "CUSTOM" in name}
    run = interpreter.get_signature_runner()
    (logits,) = run(**{next(iter(run.get_input_details())): x}).values()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
