"""Which devices a network trains on: a tf.distribute strategy from one word."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import keras
import tensorflow as tf

from cervix_tf.config import Precision
from cervix_tf.errors import InputError


@functools.cache  # one strategy a process: the collectives of a second one would collide with those of the first
def strategy(devices: str) -> tf.distribute.Strategy:
    """The strategy for `devices`: `all` (every GPU, else the CPU), `cpu`, or a number of them.

    One device needs no strategy, so it gets TensorFlow's default one; several are
    mirrored: each takes its share of a batch and gradients are averaged.

    Raises `InputError` when there are fewer devices than asked for.
    """
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


@contextlib.contextmanager
def precision(precision: Precision) -> Iterator[None]:
    """Build a network inside this: it computes in `precision`; its weights and its loss stay float32.

    `cervix_tf.layers.in_float32` is for the network when it is trained.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile() -> str | bool:
    """Keras' `jit_compile`: XLA where there is a GPU; not on CPUs, where it made steps half as fast (measured)."""
    return "auto" if tf.config.list_physical_devices("GPU") else False


def describe() -> str:
    """The devices TensorFlow sees, in words, for environment.json."""
    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        found.append(details.get("device_name", device.device_type))
    return ", ".join(found)
