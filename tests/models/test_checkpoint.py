"""PyTorch checkpoints converted and run beside PyTorch; what does not fit is refused."""

import json

import keras
import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.models import __main__ as command
from cervix_tf.models import backbones, catalog, checkpoint

# Images other than 224 x 224 where the network has no learned positions.
COMPARED = [
    ("alexnet", 95, 127),
    ("googlenet", 79, 96),
    ("shufflenet_v2_x1_0", 65, 96),
    ("shufflenet_v2_x0_5", 64, 64),
    ("resnet18", 65, 96),
    ("deit_tiny", 224, 224),
    pytest.param("resnext101_32x8d", 64, 64, marks=pytest.mark.slow),
]
HEADS = ("aux1", "aux2", "avgpool", "dropout", "fc")


def torch_network(name):
    """Random weights and random statistics: a state dict of the whole network, and its features as a function."""
    torch = pytest.importorskip("torch", reason="PyTorch is not there (pip install '.[bench]')")
    torch.manual_seed(0)
    if name == "deit_tiny":
        timm = pytest.importorskip("timm", reason="timm is not there (pip install '.[bench]')", exc_type=ImportError)
        network = timm.create_model("deit_tiny_patch16_224")
    else:
        models = pytest.importorskip(
            "torchvision.models", reason="torchvision is not there (pip install '.[bench]')", exc_type=ImportError
        )
        options = {"init_weights": False} if name == "googlenet" else {}
        network = getattr(models, name)(weights=None, **options)
    for key, value in network.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1:
            value.uniform_(-0.1, 0.1).add_(1.0 if key.endswith(".weight") else 0.0)
    network.eval()

    def features(images):
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            if name == "deit_tiny":
                return network.forward_features(x)[:, 0].numpy()
            if name == "alexnet":
                x = network.features(x)
            else:
                for part, module in network.named_children():
                    x = x if part in HEADS else module(x)
            return x.numpy().transpose(0, 2, 3, 1)

    return torch, network.state_dict(), features


@pytest.mark.parametrize(("name", "height", "width"), COMPARED)
def test_a_converted_checkpoint_gives_pytorchs_features(name, height, width, tmp_path, capsys):
    torch, state, features = torch_network(name)
    torch.save(state, tmp_path / "checkpoint.pth")
    out = tmp_path / "features.weights.h5"
    assert command.main(["convert", str(tmp_path / "checkpoint.pth"), "--network", name, "-o", str(out)]) == 0
    assert f"{name} without its top" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.h5")] == [out.name]

    pixels = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype("float32")
    if name == "googlenet":
        images = pixels / 127.5 - 1  # what torchvision's transform_input makes of its usual images
    else:
        images = (pixels / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    expected = features(images.astype("float32"))
    actual = np.asarray(backbones.backbone(name, height, width, weights=str(out))(pixels, training=False))
    assert expected.std() > 0
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def small():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(images)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="deep")(x)
    return keras.Model(images, keras.layers.Dense(5, name="mlp.fc1")(x))


def state():
    rng = np.random.default_rng(0)
    shapes = {
        "conv1.weight": (4, 3, 3, 3),
        "conv1.bias": (4,),
        **{f"bn1.{part}": (4,) for part in ("weight", "bias", "running_mean", "running_var")},
        "deep.weight": (4, 1, 3, 3),
        "mlp.fc1.weight": (5, 4),
        "mlp.fc1.bias": (5,),
        "fc.weight": (7, 5),
        "bn1.num_batches_tracked": (),
    }
    return {key: rng.random(shape).astype("float32") for key, shape in shapes.items()}


def test_axes_are_put_in_keras_order_and_heads_are_left_out():
    network, given = small(), state()
    assert checkpoint.assign(network, given, "file") == 9
    kernel, bias = network.get_layer("conv1").get_weights()
    assert kernel[1, 2, 0, 3] == given["conv1.weight"][3, 0, 1, 2]
    np.testing.assert_array_equal(bias, given["conv1.bias"])
    (deep,) = network.get_layer("deep").get_weights()
    assert deep[1, 2, 3, 0] == given["deep.weight"][3, 0, 1, 2]
    np.testing.assert_array_equal(network.get_layer("mlp.fc1").kernel, given["mlp.fc1.weight"].T)
    gamma, beta, mean, variance = network.get_layer("bn1").get_weights()
    for found, part in ((gamma, "weight"), (beta, "bias"), (mean, "running_mean"), (variance, "running_var")):
        np.testing.assert_array_equal(found, given[f"bn1.{part}"])


@pytest.mark.parametrize(("change", "message"), [
    (lambda given: given.pop("deep.weight"), "lacks deep.weight; is it a checkpoint of another network"),
    (lambda given: given.update({"layer9.weight": np.zeros(3)}), "has not: layer9.weight"),
    (lambda given: given.update({"conv1.bias": np.zeros(6)}), r"conv1.bias has shape \(6,\), which does not fit"),
    (lambda given: given.update({"conv1.weight": np.zeros((4, 3, 5, 5))}), r"\(4, 3, 5, 5\), which does not fit"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(change, message):
    network, given = small(), state()
    before = network.get_weights()
    change(given)
    with pytest.raises(InputError, match=message):
        checkpoint.assign(network, given, "file")
    for expected, actual in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def safetensors(path, arrays):
    """The format as its specification has it, with bfloat16 as raw halves of float32."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for key, (kind, array) in arrays.items():
        header[key] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + array.nbytes],
        }
        body += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_safetensors_are_read_without_pytorch(tmp_path):
    values = np.array([[1.5, -2.0, 0.25], [3.0, 0.0, -1.0]], "float32")  # exact in 16 bits too
    halves = (values.view("uint32") >> 16).astype("uint16")
    safetensors(
        tmp_path / "x.safetensors",
        {"a": ("F32", values), "b": ("F16", values.astype("float16")), "c": ("BF16", halves)},
    )
    found = checkpoint.read(tmp_path / "x.safetensors")
    assert sorted(found) == ["a", "b", "c"]
    for array in found.values():
        np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize(
    "content", [b"", b"\x05\0\0\0\0\0\0\0{bad}", b"not safetensors at all", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_a_broken_safetensors_file_is_refused(content, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="is not a complete"):
        checkpoint.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("arguments", "message"), [
    (["none.pth", "--network", "resnet18", "-o", "x.weights.h5"], "none.pth: no such file"),
    (["none.pth", "--network", "vgg16", "-o", "x.weights.h5"], "--network vgg16: no checkpoint fits it; give one of"),
    (["none.pth", "--network", "resnet19", "-o", "x.weights.h5"], "--network resnet19: no checkpoint fits it"),
    (["none.pth", "--network", "resnet18", "-o", "x.h5"], "must end in .weights.h5"),
])  # fmt: skip
def test_the_command_ends_in_one_line_and_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["convert", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_command_lists_every_network(capsys):
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(catalog.NAMES)
    assert "convert" in next(line for line in lines if line.startswith("deit_tiny"))
