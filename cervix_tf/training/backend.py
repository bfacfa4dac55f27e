"""Training on another Keras backend than TensorFlow: JAX trains and tests, TensorFlow does the rest.

TensorFlow's GPU wheels bind a CUDA and a Python version; JAX runs on newer ones and on TPUs. What is exported is a
TensorFlow graph all the same, and heat maps need TensorFlow's gradients: so the command is given again with TensorFlow
once all rows are finished, which it finds in the run as it would after a kill.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import keras


def is_tensorflow() -> bool:
    """Whether Keras runs on TensorFlow in this process."""
    return keras.backend.backend() == "tensorflow"


def finish_on_tensorflow(module: str, arguments: Sequence[str]) -> None:
    """On another backend, give the command `python -m module arguments` again, with TensorFlow.

    Whoever calls this has let the run's locks go. Where the command fails, this process ends with its exit code.
    """
    if is_tensorflow():
        return
    print(f"trained and tested with {keras.backend.backend()}; exporting and reporting with TensorFlow", flush=True)
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, env={**os.environ, "KERAS_BACKEND": "tensorflow"})
    if done.returncode:
        raise SystemExit(done.returncode)
