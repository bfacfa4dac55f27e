import subprocess
import sys

import keras
import pytest

from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.n_pair import NPair
from cervix_tf.training.global_batch import GlobalBatch

# Logical devices are set up once a process, so this runs in its own.
TWO_REPLICAS = """
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cervix_tf.layers import L2Embedding
from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.contrastive import Contrastive
from cervix_tf.losses.n_pair import NPair
from cervix_tf.losses.nt_xent import NTXent
from cervix_tf.training import devices
from cervix_tf.training.global_batch import GlobalBatch

x = np.random.default_rng(0).normal(size=(24, 8)).astype("float32")
y = np.repeat(np.arange(12) % 3, 2).astype("int32")
data = tf.data.Dataset.from_tensor_slices((x, y)).batch(12)

def trained(which, loss):
    # One step an epoch of plain gradient descent: the change of the weights is the gradient.
    keras.utils.set_random_seed(1)
    with devices.strategy(which).scope():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), L2Embedding()])
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    before = model.get_weights()
    held_out = data if isinstance(getattr(loss, "loss", None), BatchHard) else None
    history = model.fit(data.take(1), epochs=2, validation_data=held_out, verbose=0).history
    return history["loss"] + history.get("val_loss", []), [a - b for a, b in zip(model.get_weights(), before)]

for loss in (BatchHard(), Contrastive(), NPair(), NTXent()):  # a sum and three means
    alone, weights = trained("1", GlobalBatch(loss))
    together, mirrored = trained("2", GlobalBatch(loss))
    assert max(np.abs(w).max() for w in weights) > 0.001
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    for a, b in zip(weights, mirrored):
        np.testing.assert_allclose(b, a, atol=1e-6)

# What it is for: without it each replica finds hard images among its own six only.
alone, weights = trained("1", BatchHard())
apart, mirrored = trained("2", BatchHard())
assert abs(apart[0] / alone[0] - 1) > 0.01, (alone, apart)
print("same")
"""


def test_two_replicas_have_the_loss_and_the_gradients_of_one():
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]


def test_it_comes_back_from_its_configuration_with_the_loss_inside():
    again = keras.losses.deserialize(keras.losses.serialize(GlobalBatch(BatchHard(0.5))))
    assert (type(again), type(again.loss), again.loss.margin, again.name) == (GlobalBatch, BatchHard, 0.5, "batch_hard")


def test_a_loss_without_one_value_is_refused():
    with pytest.raises(ValueError, match="n_pair has one value per row"):
        GlobalBatch(NPair(reduction="none"))
