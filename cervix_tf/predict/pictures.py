"""Heat maps of predictions: where in each image the evidence for the prediction lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf import atomic, file_names, progress
from cervix_tf.contract import Contract
from cervix_tf.data import png

if TYPE_CHECKING:
    import keras


def file_name(name: str) -> str:
    """The name of the picture of the input of that name, in the folder given."""
    return f"{file_names.of_id(name)}.png"


def draw(
    network: keras.Model, contract: Contract, inputs: Sequence[tuple[str, Sequence[str]]], folder: Path
) -> list[Path]:
    """The PNG files written to `folder`, one per input: its images, below each its Grad-CAM++ heat map.

    `network` is the model in Keras: heat maps need gradients, which exported files do not have.
    """
    from cervix_tf.explain import model_maps
    from cervix_tf.export import reading

    written: list[Path] = []
    for name, files in progress.counted(inputs, "drawing heat maps", len(inputs), "inputs"):
        pixels = reading.decoded(files, contract)
        maps = model_maps.heat_maps(network, pixels, contract.views)
        if not written:  # a model without heat maps leaves no folder behind
            atomic.claim(folder, [file_name(name) for name, _ in inputs])
        target = folder / file_name(name)
        png.write(target, model_maps.strip(pixels, maps, contract.views))
        written.append(target)
    return written
