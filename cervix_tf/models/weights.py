"""Where a backbone's initial weights come from: Keras' ImageNet download, chance, or a file."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from cervix_tf import durable
from cervix_tf.errors import InputError

_ROOM = 8192  # bytes beside its values that HDF5 may need for a variable, generously


def build(
    application: Callable[..., keras.Model],
    weights: str,
    file_name: str,
    *,
    option: str = "--weights",
    **arguments: Any,
) -> keras.Model:
    """A keras.applications network with `weights`: `imagenet`, `random`, or a .weights.h5 / .h5 file.

    `file_name` is the name under which Keras keeps its own download; the message for a
    machine without network says where to put that file. `option` is what sets the weights, for messages.

    Raises `InputError` when the weights cannot be had or do not fit the network.
    """
    if weights == "random":
        return application(weights=None, **arguments)
    if weights == "imagenet":
        try:
            with warnings.catch_warnings():  # they are of squares; without its top a network takes other sizes too
                warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
                return application(weights="imagenet", **arguments)
        except Exception as error:  # Keras raises a bare Exception for a failed download
            if not _is_download(error):
                raise
            home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
            raise InputError(
                f"{option} imagenet: {file_name} cannot be downloaded from here; where there is a network, Keras keeps "
                "it in ~/.keras/models once it has made this network with weights='imagenet', include_top=False; put "
                f"it at {home / 'models' / file_name}, or give a weights file, or {option} random"
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{option} {weights}: no such file; give imagenet, random or a .weights.h5 file")
    network = application(weights=None, **arguments)
    try:
        network.load_weights(path)
    except Exception as error:  # h5py and Keras raise OSError, KeyError and ValueError for a file that does not fit
        raise InputError(
            f"{option} {weights}: does not fit {network.name} ({str(error).splitlines()[0][:200]}); "
            "give weights saved from this architecture without its top"
        ) from error
    return network


def save(network: keras.Model, path: Path) -> None:
    """Write a network's weights as Keras' .weights.h5 file.

    Raises `OSError` before anything is written where there is no room: HDF5 ends the process with signal 11 later on
    when a disk fills up under it.
    """
    durable.reserve(path, sum(4 * math.prod(variable.shape) + _ROOM for variable in network.variables) + _ROOM)
    network.save_weights(path)


def _is_download(error: Exception) -> bool:
    return isinstance(error, OSError) or "fetch failure" in str(error)
