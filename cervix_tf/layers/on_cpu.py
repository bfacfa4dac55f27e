"""Where this package's own way of computing a layer is the faster one."""

from __future__ import annotations

import keras


def on_cpu() -> bool:
    """Whether Keras runs on TensorFlow, and on processors alone.

    What is measured is measured there. On a GPU Keras has XLA compile the whole step, or none of it where there is no
    compiler, as on Apple's.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")
