"""Which devices a network trains on: a tf.distribute strategy from one word, and from TF_CONFIG on several machines."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from cervix_tf import processor, tuning
from cervix_tf.config import Precision
from cervix_tf.errors import InputError
from cervix_tf.training import backend


@functools.cache  # one strategy a process: the collectives of a second one would collide with those of the first
def strategy(devices: str) -> tf.distribute.Strategy:
    """The strategy for `devices`: `all` (every GPU, else the CPU), `cpu`, or a number of them.

    One device needs no strategy, so it gets TensorFlow's default one; several are
    mirrored: each takes its share of a batch and gradients are averaged. Where TF_CONFIG
    names several workers, `all` is every device of all of them; then this has to be called
    before anything else is done with TensorFlow.

    Raises `InputError` when there are fewer devices than asked for, or TF_CONFIG cannot be understood.
    """
    if worker() is not None:
        if devices != "all":
            raise InputError(f"--devices {devices}: with several workers in TF_CONFIG only `all` is possible")
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    cpus = tf.config.list_logical_devices("CPU")
    if devices == "cpu":
        return tf.distribute.OneDeviceStrategy("/cpu:0") if gpus else tf.distribute.get_strategy()
    there = [device.name for device in gpus or cpus]
    if devices == "all":
        wanted = len(gpus) or 1
    elif devices.isdecimal() and int(devices) > 0:
        wanted = int(devices)
    else:
        raise InputError(f"--devices {devices!r}: give all, cpu or a number of devices")
    if wanted > len(there):
        raise InputError(f"--devices {devices}: only {len(there)} here ({', '.join(there)}); ask for fewer")
    return tf.distribute.MirroredStrategy(there[:wanted]) if wanted > 1 else tf.distribute.get_strategy()


def scope(network: keras.Model) -> contextlib.AbstractContextManager:
    """Where the variables of what trains `network` are made: its tf.distribute strategy, if it has one."""
    strategy = getattr(network, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def worker() -> int | None:
    """This process's number among the workers of TF_CONFIG, 0 = the chief; None when there is no other worker.

    Raises `InputError` when TF_CONFIG is no JSON of `cluster` and `task` with workers alone.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return None
    try:
        settings = json.loads(text)
        workers, task = settings["cluster"]["worker"], settings["task"]
        if set(settings["cluster"]) != {"worker"} or task["type"] != "worker" or not 0 <= task["index"] < len(workers):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"TF_CONFIG {text!r}: give "
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return task["index"] if len(workers) > 1 else None


def agreed(number: int) -> bool:
    """Whether all workers have the same number; True on one machine."""
    if worker() is None:
        return True
    everyone = strategy("all").gather(strategy("all").run(lambda: tf.constant([number])), axis=0)
    return bool(tf.reduce_all(everyone == number))


@contextlib.contextmanager
def lost_workers() -> Iterator[None]:
    """Turn TensorFlow's report that another worker is gone into an `InputError` that says how to go on."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError):
        if worker() is None:
            raise
        raise InputError(
            f"worker {worker()}: another worker has stopped; run the same command on all of them again: "
            "the run continues after its last complete epoch"
        ) from None


@contextlib.contextmanager
def precision(precision: Precision) -> Iterator[None]:
    """Build a network inside this: it computes in `precision`; its weights and its loss stay float32.

    `cervix_tf.layers.in_float32` is for the network when it is trained.
    """
    # Commands replace `auto` before this (see `cervix_tf.start`).
    chosen = tuning.precision(processor.here(), tuning.gpus()).value if precision == "auto" else precision
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if chosen == "float32" else f"mixed_{chosen}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile() -> str | bool:
    """Keras' `jit_compile`: XLA where there is a GPU; not on CPUs, where it made steps half as fast (measured).

    On JAX always: a step that is not compiled runs one operation at a time there.
    """
    return "auto" if tf.config.list_physical_devices("GPU") or not backend.is_tensorflow() else False
