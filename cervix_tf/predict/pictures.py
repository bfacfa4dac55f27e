"""Heat maps of predictions: where in each image the evidence for the verdict lies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from cervix_tf import atomic
from cervix_tf.contract import Contract
from cervix_tf.data import images

if TYPE_CHECKING:
    import keras


def draw(
    network: keras.Model, contract: Contract, inputs: Sequence[tuple[str, Sequence[str]]], folder: Path
) -> list[Path]:
    """The PNG files written to `folder`, one an input: its images, below each its Grad-CAM++ heat map.

    `network` is the model in Keras: heat maps need gradients, which exported files do not have.
    """
    from cervix_tf.explain import model_maps

    written = []
    for name, files in inputs:
        pixels = [images.decode_file(file) for file in files]
        maps = model_maps.heat_maps(network, pixels, contract.views)
        target = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('_')}.png"
        with atomic.replacing(target) as part:
            cv2.imwrite(str(part), model_maps.strip(pixels, maps, contract.views)[..., ::-1])
        written.append(target)
    return written
