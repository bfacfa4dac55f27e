import subprocess
import sys

import pytest

from cervix_tf.errors import InputError
from cervix_tf.train import devices

# Logical devices are set up once a process, so this runs in its own.
TWO_REPLICAS = """
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cervix_tf.train import devices

def trained(which):
    keras.utils.set_random_seed(1)
    strategy = devices.strategy(which)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(16), epochs=3, verbose=0)
    return strategy.num_replicas_in_sync, model.get_weights()

one, alone = trained("1")
two, mirrored = trained("2")
assert (one, two) == (1, 2), (one, two)
for a, b in zip(alone, mirrored):
    np.testing.assert_allclose(a, b, atol=1e-5)
print("same")
"""


def test_two_mirrored_devices_train_to_the_weights_of_one():
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]


@pytest.mark.parametrize("wrong", ["9", "0", "gpu"])
def test_devices_that_are_not_there_are_refused(wrong):
    with pytest.raises(InputError, match="--devices"):
        devices.strategy(wrong)


def test_the_default_is_one_device_on_a_machine_without_gpus():
    assert devices.strategy("all").num_replicas_in_sync == 1
    assert "CPU" in devices.describe()
