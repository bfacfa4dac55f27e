"""Two worker processes on one machine against one process."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.training import devices

TRAINING = """
import os, signal, sys
from pathlib import Path
from cervix_tf.errors import exit_cleanly
from cervix_tf.training import devices
strategy = devices.strategy("all")  # before anything else

import keras, numpy as np, tensorflow as tf
from cervix_tf.layers import FusedBatchNormalization
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

x = np.random.default_rng(0).normal(size=(64, 6, 6, 3)).astype("float32")
y = (x.mean((1, 2, 3)) > 0).astype("int32")
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA

def batches(first):
    order = tf.data.Dataset.range(first, 3).flat_map(
        lambda epoch: tf.data.Dataset.from_tensor_slices((x, y)).shuffle(64, seed=7, reshuffle_each_iteration=False))
    return order.batch(16).with_options(options)

class Die(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.params["epochs"] and self.epoch == 1 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

with exit_cleanly(), strategy.scope():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3, use_bias=False), FusedBatchNormalization(synchronized=True),
        keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"], jit_compile=False)
with exit_cleanly():
    out = RunDir(Path(sys.argv[1]))
    history = fit.fit(model, batches, batches(2), epochs=3, steps_per_epoch=4, criterion="val_loss", out=out,
                      callbacks=[Die()] if "die" in sys.argv else [])
    np.savez(out.root / "weights.npz", *model.get_weights(), loss=history["loss"], val_loss=history["val_loss"],
             replicas=strategy.num_replicas_in_sync)
"""


def start(out, *arguments, config=None):
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **({"TF_CONFIG": json.dumps(config)} if config else {})}
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(out), *arguments],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(outs, *arguments):
    """Both workers, started; `arguments` go to the second one."""
    ports = []
    for _ in outs:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": at}} for at in (0, 1)]
    return [start(outs[0], config=configs[0]), start(outs[1], *arguments, config=configs[1])]


@pytest.mark.slow
def test_two_workers_one_killed_and_resumed_end_with_the_weights_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["alone", str(tmp_path / "alone")])
    exec(TRAINING, {})  # the one process is this
    outs = [tmp_path / "worker-0", tmp_path / "worker-1"]
    first, second = workers(outs, "die")
    said = first.communicate(timeout=200)[1]
    assert second.wait(timeout=10) == -signal.SIGKILL
    assert first.returncode == 2, said[-2000:]
    assert "another worker has stopped" in said and "Traceback" not in said
    for worker in workers(outs):
        said = worker.communicate(timeout=200)[1]
        assert worker.returncode == 0, said[-2000:]
    expected, *found = (dict(np.load(out / "weights.npz")) for out in (tmp_path / "alone", *outs))
    for weights in found:
        assert weights.pop("replicas") == 2
        for name, value in weights.items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("wrong", ["{", '{"cluster": {}}', '{"cluster": {"ps": ["a:1"]}, "task": {}}'])
def test_a_tf_config_that_cannot_be_understood_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("TF_CONFIG", wrong)
    with pytest.raises(InputError, match="TF_CONFIG"):
        devices.worker()


def test_one_worker_alone_needs_no_strategy(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}')
    assert devices.worker() is None
