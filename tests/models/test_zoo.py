"""Every network of the zoo kept, exported and read again, without a warning.

`pytest -m whole_zoo tests/models/test_zoo.py` does it for all; an ordinary run leaves out
those of `LEFT_OUT`, since one export takes seconds to a minute. That every network
gives finite features and gets gradients everywhere is tested in test_backbones.
"""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.models import backbones, catalog

# Left out of an ordinary run; run by hand when a network or the exporter changes.
LEFT_OUT = {
    "botnet50",
    "deit_tiny_distilled",
    "densenet121",
    "densenet169",
    "inception_resnet_v1",
    "inception_v3",
    "mobilenet",
    "nasnet_mobile",
    "resnet10_narrow",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnext101_32x8d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "t2t_vit_14",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vit_b16",
    "xception",
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.whole_zoo if name in LEFT_OUT else pytest.mark.slow)
    for name in catalog.NAMES
])  # fmt: skip
def test_a_network_is_the_same_in_a_file_a_saved_model_and_tflite(name, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    side = max(32, catalog.NETWORKS[name].smallest)
    x = np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras' word on layers that were not built
        network = backbones.classifier(name, 3, side, side, weights="random", head_width=8)
        expected = np.asarray(network(x, training=False))
        network.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        network.export(tmp_path / "served", verbose=False)
        served = tf.saved_model.load(str(tmp_path / "served"))
        content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "served")).convert()
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0
    np.testing.assert_array_equal(again(x, training=False), expected)
    close = {"rtol": 1e-3, "atol": 1e-4 * max(1.0, float(np.abs(expected).max()))}
    np.testing.assert_allclose(served.serve(x), expected, **close)
    run = Interpreter(model_content=content).get_signature_runner()  # built-in operations only, or it is refused
    (found,) = run(**{next(iter(run.get_input_details())): x}).values()
    np.testing.assert_allclose(found, expected, **close)


def test_what_is_left_out_of_an_ordinary_run_is_in_the_zoo():
    assert set(catalog.NAMES) > LEFT_OUT
