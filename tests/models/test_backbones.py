"""Backbones and classifiers: weights counted, pixels normalized as Keras does, gradients everywhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.errors import InputError
from cervix_tf.explain import split
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.models import backbones, catalog, vgg

# Trainable weights with 1000 classes; torchvision's but where another origin is named.
TRAINABLE = {
    "alexnet": 61_100_840,
    "deit_tiny": 5_717_416,  # timm's
    "deit_tiny_distilled": 5_717_416 + 2 * 192 + 193_000,  # and a token, its position and its head
    "botnet50": 20_852_008,  # PaddleViT's BoTNet: 20.9 M; the sum stands in our docstring
    "densenet121": 7_978_856,
    "googlenet": 6_624_904,
    "inception_resnet_v1": 23_482_624 + 513 * 1000,  # facenet-pytorch's before its logits, and those
    "mobilenet_v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnext101_32x8d": 88_791_336,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "t2t_vit_14": 21_465_806,  # Yuan et al. 2021, Table 1: 21.5 M
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg19": 143_667_240,
    "vit_b16": 86_567_656,
}

PREPROCESSING = {
    "densenet121": keras.applications.densenet,
    "densenet169": keras.applications.densenet,
    "inception_v3": keras.applications.inception_v3,
    "mobilenet": keras.applications.mobilenet,
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "googlenet": keras.applications.inception_v3,  # as torchvision's transform_input
    "nasnet_mobile": keras.applications.nasnet,
    "resnet50": keras.applications.resnet,
    "resnet101": keras.applications.resnet,
    "vgg16": keras.applications.vgg16,
    "vgg19": keras.applications.vgg19,
    "vit_b16": keras.applications.inception_v3,  # timm's mean and deviation 0.5
    "xception": keras.applications.xception,
}

# One a builder and normalization; the rest are lines of a table.
QUICK = ("deit_tiny", "densenet121", "googlenet", "mobilenet_v2", "resnet18", "shufflenet_v2_x0_5", "vgg11", "vgg19")
SLOW = tuple(pytest.param(name, marks=pytest.mark.slow) for name in catalog.NAMES if name not in QUICK)


def pixels(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype("uint8")


def weights_of(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.fixture
def bare(monkeypatch):
    """bare(name): the backbone with nothing but its normalization inside."""

    def build(input_shape, **_):
        images = keras.Input(input_shape)
        return keras.Model(images, keras.layers.Identity()(images))

    def make(name, height=32, width=40):
        monkeypatch.setitem(backbones._BUILDERS, name, build)
        monkeypatch.setitem(catalog.NETWORKS, name, catalog.NETWORKS[name]._replace(smallest=1))
        return backbones.backbone(name, height, width, weights="random")

    return make


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "resnet18", "vgg19"])
def test_a_classifier_of_1000_classes_has_as_many_weights_as_torchvisions(name):
    network = backbones.classifier(name, 1000, 224, 224, weights="random")
    assert weights_of(network) == TRAINABLE[name]


@pytest.mark.parametrize(
    "name", [name for name, made in catalog.NETWORKS.items() if not made.file and name in TRAINABLE]
)
def test_our_networks_with_their_top_have_as_many_weights_as_the_originals(name):
    assert weights_of(backbones._BUILDERS[name]()) == TRAINABLE[name]


@pytest.mark.parametrize("name", catalog.NAMES)
def test_pixels_are_normalized_as_the_weights_want_them(name, bare):
    x = pixels(2, 32, 40)
    if name in PREPROCESSING:
        expected = PREPROCESSING[name].preprocess_input(x.astype("float32"))
    elif name == "inception_resnet_v1":  # facenet-pytorch's fixed_image_standardization
        expected = (x - 127.5) / 128
    else:  # torchvision's transforms.Normalize
        expected = (x / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(bare(name)(x), expected, rtol=1e-5, atol=1e-4)


def test_networks_that_are_compared_can_share_one_normalization(bare):
    x = pixels(1, 32, 40)
    expected = bare("resnet18")(x)
    assert np.abs(bare("vgg19")(x) - expected).max() > 50  # its own: not scaled, blue first
    found = backbones.backbone("vgg19", 32, 40, weights="random", normalization="torch")(x)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_feature_maps_are_finite_and_all_weights_get_gradients(name):
    network = backbones.backbone(name, 80, 96, weights="random")
    with tf.GradientTape() as tape:
        maps = network(pixels(2, 80, 96), training=True)
        loss = tf.reduce_sum(maps * np.random.default_rng(1).normal(size=maps.shape))
    assert maps.shape == (2, *network.output_shape[1:])
    assert np.isfinite(maps).all()
    assert np.std(maps) > 0
    gradients = tape.gradient(loss, network.trainable_variables)
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        if len(variable.shape) == 4:
            assert np.abs(gradient).max() > 0, variable.path


# torchvision's ResNet rounds up, its VGG down.
@pytest.mark.parametrize(("name", "size"), [("resnet18", (7, 10)), ("vgg11", (7, 9))])
def test_our_networks_give_a_map_for_every_32_pixels(name, size):
    assert backbones.backbone(name, 224, 298, weights="random").output_shape[1:3] == size


def test_every_normalization_is_fused_and_has_the_given_momentum():
    for name in ("resnet18", "mobilenet_v2"):
        for momentum, network in (
            (0.9, backbones.backbone(name, 32, 32, weights="random")),
            (0.7, backbones.backbone(name, 32, 32, weights="random", momentum=0.7)),
        ):
            inner = network.get_layer("features").layers
            found = [layer for layer in inner if isinstance(layer, keras.layers.BatchNormalization)]
            assert len(found) > 10
            assert {type(layer) for layer in found} == {FusedBatchNormalization}
            assert {layer.momentum for layer in found} == {momentum}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg11"])
def test_a_classifier_comes_back_from_a_file(name, tmp_path):
    network = backbones.classifier(name, 3, 64, 48, weights="random", head_width=8)
    network.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = pixels(2, 64, 48)
    np.testing.assert_array_equal(again(x), network(x))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_weights_saved_without_top_are_first_weights(name, tmp_path):
    network = backbones.classifier(name, 3, 32, 32, weights="random")
    network.get_layer("features").save_weights(tmp_path / "features.weights.h5")
    again = backbones.backbone(name, 64, 32, weights=str(tmp_path / "features.weights.h5"))
    for expected, actual in zip(network.get_layer("features").weights, again.weights, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_bgr_networks_export_to_built_in_tflite_operations(bare, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    network, x = bare("vgg19"), pixels(1, 32, 40).astype("float32")
    network.export(tmp_path / "served", verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "served")).convert()
    run = Interpreter(model_content=content).get_signature_runner()
    (found,) = run(**{next(iter(run.get_input_details())): x}).values()
    np.testing.assert_allclose(found, network(x), atol=1e-3)


def test_the_head_of_vgg_has_two_hidden_layers_with_dropout_on_maps_averaged_to_7_by_7():
    network = backbones.classifier("vgg11", 4, 96, 128, weights="random", head_width=16)
    rates = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    widths = [layer.units for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    assert rates == [0.5, 0.5]
    assert widths == [16, 16, 4]
    assert network.get_layer("classifier.0").kernel.shape == (7 * 7 * 512, 16)


@pytest.mark.parametrize(("name", "given", "rates"), [
    ("resnet18", None, []),
    ("resnet18", 0.3, [0.3]),
    ("mobilenet_v2", None, [0.2]),
    ("mobilenet_v2", 0.0, []),
    ("vgg11", 0.1, [0.1, 0.1]),
])  # fmt: skip
def test_dropout_is_the_architectures_own_unless_given(name, given, rates):
    network = backbones.classifier(name, 4, 32, 32, weights="random", dropout=given, head_width=8)
    assert [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)] == rates


@pytest.mark.parametrize(("height", "width"), [(10, 3), (1, 1), (1, 9)])
def test_maps_of_other_sizes_are_averaged_as_pytorch_does(height, width):
    maps = np.random.default_rng(0).random((1, height, width, 2)).astype("float32")

    def windows(side):  # torch.nn.AdaptiveAvgPool2d: floor of the start, ceiling of the end
        return [range(i * side // 7, -(-(i + 1) * side // 7)) for i in range(7)]

    expected = [[maps[0][np.ix_(rows, columns)].mean((0, 1)) for columns in windows(width)] for rows in windows(height)]
    inputs = keras.Input(maps.shape[1:])
    head = keras.Model(inputs, vgg.fully_connected(inputs, 1))
    pooled = keras.Model(inputs, head.get_layer("average").output).predict(maps, verbose=0)  # traced
    np.testing.assert_allclose(pooled[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_grad_cam_finds_the_last_maps(name):
    network = backbones.classifier(name, 4, 64, 96, weights="random", head_width=8)
    x = pixels(2, 64, 96)
    head, maps = split.split(network, "features", x)
    assert maps.shape == (2, 2, 3, 512)
    np.testing.assert_allclose(head(maps), network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("arguments", "message"), [
    (("resnet19", 64, 64), "'resnet19': unknown; give one of alexnet, "),
    (("xception", 224, 70), "224 x 70 pixels; its shorter side is at least 71"),
    (("resnet18", 64, 64), "Keras has none for resnet18; give a weights file that"),
])  # fmt: skip
def test_what_cannot_be_built_is_refused_with_a_remedy(arguments, message):
    with pytest.raises(InputError, match=message):
        backbones.backbone(*arguments)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_network_are_refused(tmp_path):
    vgg.vgg11(include_top=False, input_shape=(32, 32, 3)).save_weights(tmp_path / "vgg.weights.h5")
    with pytest.raises(InputError, match="does not fit resnet18"):
        backbones.backbone("resnet18", 32, 32, weights=str(tmp_path / "vgg.weights.h5"))
    with pytest.raises(InputError, match="no such file"):
        backbones.backbone("resnet18", 32, 32, weights=str(tmp_path / "none.weights.h5"))
