"""A .keras file as a Keras model, looked at before anything of it is built.

What a layer's configuration asks for is memory, and a few digits of it can ask for all there is: so
the file says first how large its weights are, and the configuration how large they would become.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

import cervix_tf.layers  # noqa: F401  (so that Keras knows the layers in the file)
from cervix_tf import bounded
from cervix_tf.errors import InputError

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_CONFIG_BYTES = 64 << 20
_SPARE = 1 << 20  # bytes of weights that a file may lack: seeds and the like are written in other types


def load(path: Path) -> keras.Model:
    """The model in a .keras file, not compiled.

    Raises `InputError` when it is missing, damaged, no model, or would need more memory
    than its own weights account for.
    """
    try:
        return _in_a_thread(lambda: _loaded(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has this run finished, and is it the run's own folder?") from None
    except Exception as error:  # there is no end to what Keras and HDF5 raise for a file that is not theirs
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a model that Keras can load ({first}); finish the run again") from None


def _in_a_thread(work: Callable[[], keras.Model]) -> keras.Model:
    """What `work` gives. Keras keeps a list of variables without a value for each thread and gives them one as soon as
    it can: those of a model that is refused have to end with their thread.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _loaded(path: Path) -> keras.Model:
    bounded.check_model(bounded.size(path))
    with path.open("rb") as file, bounded.open_zip(file, bounded.MODEL_BYTES) as archive:
        model = _without_values(bounded.json_value(bounded.member(archive, _CONFIG), _CONFIG_BYTES))
        asked, stored = _bytes(model), _stored(archive)
        if asked > stored + _SPARE or asked > bounded.MODEL_BYTES:
            raise bounded.Unreadable(
                f"its layers ask for {asked:,} bytes of weights, but it holds {stored:,} and may hold "
                f"{bounded.MODEL_BYTES:,}"
            )
        with keras.StatelessScope():
            pass  # gives variables a value where it ends
        with tempfile.TemporaryDirectory() as folder:  # as Keras reads it: inside the archive it is much slower
            model.load_weights(archive.extract(_WEIGHTS, folder))
    return model


def _stored(archive: zipfile.ZipFile) -> int:
    try:
        return archive.getinfo(_WEIGHTS).file_size
    except KeyError:
        raise bounded.Unreadable(f"its archive has no {_WEIGHTS}") from None


def _without_values(config: Any) -> keras.Model:
    """The model of a configuration; its variables have a shape but no value."""
    with keras.StatelessScope(initialize_variables=False):
        return keras.saving.deserialize_keras_object(config, safe_mode=True)


def _bytes(model: keras.Model) -> int:
    return sum(math.prod(each.shape) * np.dtype(each.dtype).itemsize for each in model.variables)
