"""A .keras file from elsewhere is looked at before anything of it is built."""

import json
import time
import zipfile

import keras
import numpy as np
import pytest

from cervix_tf import bounded
from cervix_tf.errors import InputError
from cervix_tf.models import keras_file


def saved(path, units=4):
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(pixels))
    keras.Model(pixels, keras.layers.Dense(units, name="logits")(keras.layers.Dense(5)(x))).save(path)
    return path


def rewritten(path, change, **others):
    """The same file with another config.json."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = change(members["config.json"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, **others}.items():
            if content is not None:
                archive.writestr(name, content)


def test_a_sound_file_is_loaded_with_its_weights(tmp_path):
    path = saved(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3))
    np.testing.assert_array_equal(keras_file.load(path)(pixels), keras.models.load_model(path)(pixels))


def test_a_layer_that_wants_more_memory_than_the_files_weights_is_refused_before_it_is_built(tmp_path):
    path = saved(tmp_path / "model.keras")
    rewritten(path, lambda config: config.replace(b'"units": 4,', b'"units": 40000000,'))
    begin = time.monotonic()
    with pytest.raises(InputError, match="layers ask for 960,000,096 bytes of weights, but it holds 1"):
        keras_file.load(path)
    assert time.monotonic() - begin < 5
    # Keras keeps variables without a value for later: these must not come to life with the next model.
    assert keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).count_params() == 3


def nested(depth):
    return b'{"a": ' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("change", "others", "words"),
    [
        (lambda config: config[:-20], {}, "not readable as JSON"),
        (lambda config: nested(50_000), {}, "nested too deeply"),
        (lambda config: b'{"class_name": "Functional", "class_name": "Model"}', {}, "'class_name' occurs twice"),
        (lambda config: b"[]", {}, "not a model that Keras can load"),
        (lambda config: b'{"module": "os", "class_name": "system", "config": {}}', {}, "not a model that Keras can"),
        (lambda config: config.replace(b'"Dense"', b'"Lambda"'), {}, "not a model that Keras can load"),
        (lambda config: config.replace(b'"units": 5,', b'"units": -1,'), {}, "not a model that Keras can load"),
        (lambda config: config.replace(b'"units": 5,', b'"units": 6,'), {}, "not a model that Keras can load"),
        (lambda config: config, {"model.weights.h5": None}, "its archive has no model.weights.h5"),
        (lambda config: config, {"model.weights.h5": b"rubbish"}, "layers ask for|not a model that Keras can load"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_an_input_error(tmp_path, change, others, words):
    path = saved(tmp_path / "model.keras")
    rewritten(path, change, **others)
    with pytest.raises(InputError, match=rf"model\.keras: .*({words})") as refusal:
        keras_file.load(path)
    assert "\n" not in str(refusal.value)


def test_a_configuration_of_gigabytes_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MODEL_BYTES", 1_000_000)  # for gigabytes
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(2_000_000))
    with pytest.raises(InputError, match="inflates to 2,000,000 bytes"):
        keras_file.load(path)


def test_a_missing_file_and_a_folder_are_input_errors(tmp_path):
    with pytest.raises(InputError, match=r"none\.keras: no such file"):
        keras_file.load(tmp_path / "none.keras")
    with pytest.raises(InputError, match="is not a regular file"):
        keras_file.load(tmp_path)


def test_the_configuration_is_read_as_keras_wrote_it(tmp_path):
    path = saved(tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    variables = keras.models.load_model(path).variables
    asked = keras_file._in_a_thread(lambda: keras_file._without_values(config))
    assert keras_file._bytes(asked) == sum(each.numpy().nbytes for each in variables)
