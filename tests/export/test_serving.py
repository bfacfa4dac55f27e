import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.contract import Contract
from cervix_tf.export import saved_model
from cervix_tf.export.serving import serving_model

CONTRACT = Contract("t", ("a", "b"), (), (), 8, 10, 20, 30, "1", "free", "tests", "drawn", True, False)


@keras.saving.register_keras_serializable(package="tests")
class Unknowable(keras.metrics.SparseCategoricalAccuracy):
    """A metric that whoever reads the file does not have."""


def compiled_network():
    inner_in = keras.Input((8, 10, 3))
    inner = keras.Model(inner_in, keras.layers.Conv2D(4, 3)(inner_in), name="inner")
    pixels = keras.Input((8, 10, 3))
    x = keras.layers.GlobalAveragePooling2D()(inner(pixels))
    net = keras.Model(pixels, keras.layers.Dense(2)(x))
    for model in (inner, net):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[Unknowable()])
    net.fit(np.ones((2, 8, 10, 3)), np.array([0, 1]), verbose=0)
    return net


def test_it_is_resizing_then_the_network_then_softmax():
    net = compiled_network()
    images = np.random.default_rng(0).integers(0, 256, (3, 17, 13, 3), dtype=np.uint8)
    expected = tf.nn.softmax(net(tf.image.resize(images, (8, 10))))
    np.testing.assert_allclose(serving_model(net, CONTRACT)(images), expected, atol=1e-6)


def test_weights_are_shared_with_the_network():
    keras.utils.set_random_seed(0)  # of some weights a class is so sure that no bias moves it
    net = compiled_network()
    model = serving_model(net, CONTRACT)
    images = np.ones((1, 8, 10, 3), np.uint8)
    before = np.array(model(images))
    net.layers[-1].bias.assign([3.0, -3.0])
    assert np.abs(np.array(model(images)) - before).max() > 0.1


def test_the_saved_file_holds_nothing_of_the_training(tmp_path):
    net = compiled_network()
    serving_model(net, CONTRACT).save(tmp_path / "model.keras")
    config = zipfile.ZipFile(tmp_path / "model.keras").read("config.json").decode()
    assert "Unknowable" not in config
    assert "Adam" not in config
    assert not json.loads(config)["compile_config"]
    assert net.compiled  # the network itself is left as it was


def test_a_network_that_does_not_fit_the_contract_is_refused():
    pixels = keras.Input((8, 8, 3))
    net = keras.Model(pixels, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(pixels)))
    with pytest.raises(ValueError, match=r"the contract says \(None, 8, 10, 3\)"):
        serving_model(net, CONTRACT)


def test_a_saved_model_holds_every_weight_once(tmp_path):
    model = serving_model(compiled_network(), CONTRACT)
    saved_model.write(model, CONTRACT, tmp_path / "saved_model")
    stored = tf.train.list_variables(str(tmp_path / "saved_model" / "variables" / "variables"))
    weights = sorted(tuple(shape) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    assert weights == sorted(tuple(variable.shape) for variable in model.variables)
