"""Where a backbone's first weights come from: Keras' ImageNet download, chance, or a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from cervix_tf.errors import InputError


def build(application: Callable[..., keras.Model], weights: str, file_name: str, **arguments: Any) -> keras.Model:
    """A keras.applications network with `weights`: `imagenet`, `random`, or a .weights.h5 / .h5 file.

    `file_name` is the name under which Keras keeps its own download; the message for a
    machine without network says where to put that file.

    Raises `InputError` when the weights cannot be had or do not fit the network.
    """
    if weights == "random":
        return application(weights=None, **arguments)
    if weights == "imagenet":
        try:
            return application(weights="imagenet", **arguments)
        except Exception as error:  # Keras raises a bare Exception for a failed download
            if not _is_download(error):
                raise
            home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
            raise InputError(
                f"--weights imagenet: {file_name} cannot be downloaded from here; fetch it on a machine with "
                f"network (importing keras.applications there does) and put it at {home / 'models' / file_name}, "
                "or give a weights file, or --weights random"
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"--weights {weights}: no such file; give imagenet, random or a .weights.h5 file")
    network = application(weights=None, **arguments)
    try:
        network.load_weights(path)
    except Exception as error:  # h5py and Keras raise OSError, KeyError and ValueError for a file that does not fit
        raise InputError(
            f"--weights {weights}: does not fit {network.name} ({str(error).splitlines()[0][:200]}); "
            "give weights saved from this architecture without its top"
        ) from error
    return network


def _is_download(error: Exception) -> bool:
    return isinstance(error, OSError) or "fetch failure" in str(error)
