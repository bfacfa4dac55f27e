"""Every network that has layers named as in a PyTorch library gives that library's features, to 1e-4.

`tests/oracles/torch_features.json` holds what PyTorch's networks gave, with weights that depend on their names and
shapes alone, so that this needs no PyTorch.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cervix_tf.models import backbones, catalog, checkpoint

ORACLES = Path(__file__).resolve().parents[1] / "oracles"
FEATURES = json.loads((ORACLES / "torch_features.json").read_text())["features"]
LARGE = ("resnext101_32x8d", "vit_b16")


@pytest.fixture(scope="module")
def oracle():
    sys.path.insert(0, str(ORACLES))
    import drawn_state

    yield drawn_state
    sys.path.remove(str(ORACLES))


def in_torchs_order(layer, weight):
    """The shape that PyTorch gives this weight."""
    shape = tuple(weight.shape)
    if weight.name == "kernel" and len(shape) == 4:
        depthwise = type(layer).__name__.endswith("DepthwiseConv2D")
        return tuple(shape[axis] for axis in ((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))
    return shape[::-1] if weight.name == "kernel" else shape


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in FEATURES]
)
def test_features_of_drawn_weights_are_those_of_pytorch(name, oracle):
    expected = FEATURES[name]
    size = expected["height"], expected["width"]
    network = backbones.backbone(name, *size, weights="random")
    features = network.get_layer("features")
    state = {
        key: oracle.drawn(key, in_torchs_order(layer, weight))
        for layer in features.layers
        for weight in layer.weights
        if not (key := checkpoint._key(layer, weight)).endswith("pos_embed") or weight.trainable
    }
    sines = {key: np.asarray(layer.pos_embed) for layer in features.layers if (key := fixed_positions(layer))}
    checkpoint.assign(features, {**state, **sines}, "oracle")
    actual = np.asarray(network(oracle.pixels(*size), training=False))
    assert list(actual.shape) == expected["shape"]
    found = np.array(oracle.chosen(actual))
    assert np.std(expected["values"]) > 0.01 * expected["largest"]  # the places tell something
    assert np.abs(found - expected["values"]).max() <= 1e-4 * max(1.0, expected["largest"])


def fixed_positions(layer):
    return "pos_embed" if getattr(layer, "sines", False) else ""


def test_every_convertible_network_is_compared():
    assert set(catalog.CONVERTIBLE) | {"botnet50"} == set(FEATURES)
