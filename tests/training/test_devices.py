import subprocess
import sys

import pytest

from cervix_tf.errors import InputError
from cervix_tf.training import devices

# Logical devices are set up once a process, so this runs in its own.
TWO_REPLICAS = """
import sys
from pathlib import Path
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cervix_tf.training import devices

def trained(which, optimizer):
    keras.utils.set_random_seed(1)
    strategy = devices.strategy(which)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
        model.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(16), epochs=3, verbose=0)
    return strategy.num_replicas_in_sync, model.get_weights()

from cervix_tf.config import AdamConfig, SGDConfig
from cervix_tf.training import fit
for optimizer in (
    lambda: keras.optimizers.SGD(0.1),
    lambda: fit.adam(AdamConfig(learning_rate=0.01, epsilon=1e-3, weight_decay=0.1)),
    lambda: fit.sgd(SGDConfig(learning_rate=0.1, momentum=0.9, weight_decay=1e-3)),
):
    one, alone = trained("1", optimizer)
    two, mirrored = trained("2", optimizer)
    assert (one, two) == (1, 2), (one, two)
    for a, b in zip(alone, mirrored):
        np.testing.assert_allclose(a, b, atol=1e-5)

# Without synchronization each replica normalizes its own share, and the first one's statistics are kept, as in Keras.
from cervix_tf.layers import FusedBatchNormalization
from cervix_tf.run_dir import RunDir
x = np.random.default_rng(0).normal(2, 3, (8, 4, 4, 3)).astype("float32")
data = tf.data.Dataset.from_tensors((x, np.zeros((8, 3), "float32"))).repeat()

def normalized(kind=FusedBatchNormalization, **options):
    with devices.strategy("2").scope():
        layer = kind(momentum=0.0, **options)
        model = keras.Sequential([keras.Input((4, 4, 3)), layer, keras.layers.GlobalAveragePooling2D()])
        model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
    return layer, model

def train(model, epochs):
    return fit.fit(model, lambda first: data, data.take(1), epochs=epochs, steps_per_epoch=2,
                   criterion="val_loss", out=RunDir(Path(sys.argv[1])))

layer, model = normalized()
train(model, 3)
assert len(train(normalized()[1], 3)) == 3  # finished: loads, does not train
theirs, model = normalized(keras.layers.BatchNormalization)
model.fit(data, steps_per_epoch=2, verbose=0)
np.testing.assert_allclose(layer.moving_mean, theirs.moving_mean, atol=1e-4)
np.testing.assert_allclose(layer.moving_variance, theirs.moving_variance, rtol=1e-3)
np.testing.assert_allclose(layer.moving_mean, x[:4].mean((0, 1, 2)), atol=1e-4)

# With it, both normalize by the whole batch.
layer, model = normalized(synchronized=True)
model.fit(data, steps_per_epoch=2, verbose=0)
np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), atol=1e-4)
np.testing.assert_allclose(layer.moving_variance, x.var((0, 1, 2)), rtol=1e-3)
print("same")
"""


def test_two_mirrored_devices_train_to_the_weights_of_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]


@pytest.mark.parametrize("wrong", ["9", "0", "gpu"])
def test_devices_that_are_not_there_are_refused(wrong):
    with pytest.raises(InputError, match="--devices"):
        devices.strategy(wrong)


def test_the_default_is_one_device_on_a_machine_without_gpus():
    assert devices.strategy("all").num_replicas_in_sync == 1
