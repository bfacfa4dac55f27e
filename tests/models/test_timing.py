"""Forward-pass times of networks that take a known time."""

import time

import keras
import pytest
import tensorflow as tf

from cervix_tf.models import timing


@keras.saving.register_keras_serializable(package="tests")
class Sleep(keras.layers.Layer):
    """Its input, some time later; counts how often Keras calls it and how often it runs."""

    def __init__(self, seconds, first=0.0):
        super().__init__()
        self.seconds, self.first = seconds, first
        self.calls = self.runs = 0
        self.batches = set()

    def call(self, inputs):
        self.calls += 1
        return tf.ensure_shape(tf.py_function(self._sleep, [inputs], tf.float32), inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def _sleep(self, x):
        time.sleep(self.seconds if self.runs else self.first)
        self.runs += 1
        self.batches.add(x.shape[0])
        return x


def network(layer):
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, layer(inputs))


def test_the_time_of_a_pass_is_measured_in_milliseconds():
    found = timing.milliseconds(network(Sleep(0.02)), 9)
    assert 20 <= found.low <= found.median <= found.high
    assert found.median < 60


def test_a_slow_first_pass_does_not_count():
    found = timing.milliseconds(network(Sleep(0.0, first=0.3)), 5)
    assert found.high < 300


def test_one_image_at_a_time_in_a_graph_that_is_traced_once():
    layer = Sleep(0.0)
    built = network(layer)
    before = layer.calls
    timing.milliseconds(built, 20)
    assert layer.runs == 23
    assert layer.calls == before + 1
    assert layer.batches == {1}


def test_no_repeats_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        timing.milliseconds(network(Sleep(0.0)), 0)
