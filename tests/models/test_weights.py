"""Initial weights that cannot be had."""

from pathlib import Path

import pytest

from cervix_tf.errors import InputError
from cervix_tf.models import weights


def failing(error):
    def application(weights):
        raise error

    return application


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on https://x: None -- unreachable"), OSError("no route")]
)
def test_without_network_the_message_says_where_to_put_which_file(error, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(InputError, match="--weights random") as refused:
        weights.build(failing(error), "imagenet", "vgg19_notop.h5")
    assert str(tmp_path / "models" / "vgg19_notop.h5") in str(refused.value)


def test_what_is_no_download_failure_is_not_hidden():
    with pytest.raises(RuntimeError, match="a bug"):
        weights.build(failing(RuntimeError("a bug")), "imagenet", "vgg19_notop.h5")


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    import keras

    def application(weights, input_shape):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(2)], name="small")

    path = Path(tmp_path / "bad.weights.h5")
    path.write_text("not HDF5")
    with pytest.raises(InputError, match="does not fit small"):
        weights.build(application, str(path), "", input_shape=(3,))
