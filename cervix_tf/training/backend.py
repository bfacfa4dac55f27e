"""Training on another Keras backend than TensorFlow: JAX or PyTorch train and test, TensorFlow does the rest.

TensorFlow's GPU wheels bind a CUDA and a Python version; JAX runs on newer ones and on TPUs. What is exported is a
TensorFlow graph all the same, and heat maps need TensorFlow's gradients: so a command goes on in TensorFlow once all
rows are finished, which it finds in the run as it would after a kill.
"""

from __future__ import annotations

import os
import sys

import keras


def is_tensorflow() -> bool:
    """Whether Keras runs on TensorFlow in this process."""
    return keras.backend.backend() == "tensorflow"


def finish_on_tensorflow() -> None:
    """On another backend, begin this process's command again with TensorFlow, in this process's place.

    Its locks end with it, so that the command can take them again.
    """
    if is_tensorflow():
        return
    print(f"trained and tested with {keras.backend.backend()}; exporting and reporting with TensorFlow", flush=True)
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "KERAS_BACKEND": "tensorflow"})
