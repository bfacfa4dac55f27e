"""The gate of a finished run: limits from the images that its model was trained and chosen on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cervix_tf import progress, quality, runs
from cervix_tf.contract import Contract
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.views import kind
from cervix_tf.export import reading
from cervix_tf.quality import Gate, Measures
from cervix_tf.run_dir import RunDir

MOST_IMAGES = 2000
"""Of each part, evenly chosen, shared out among the kinds of view: more make the limits no more certain than the
images' own variety does."""


def write(out: RunDir, listed: Manifest) -> Gate | None:
    """Write the gate of the run's model and give it; None, and none is there then, of too few training images.

    Raises `InputError` when an image cannot be read.
    """
    contract = runs.contract(out)
    training, validation = (_measured(listed.part(name), contract, name) for name in ("train", "validation"))
    out.quality.unlink(missing_ok=True)
    if any(len(some) < quality.FEWEST_IMAGES for some in training.values()):
        return None
    gate = Gate({name: quality.limits(some, validation[name]) for name, some in training.items()})
    gate.write(out.quality, contract)
    return gate


def _measured(part: Manifest, contract: Contract, name: str) -> dict[str, list[Measures]]:
    """Each kind of the contract's views -> measures of evenly chosen labeled images of this part."""
    files = _files(part, contract)
    most = max(quality.FEWEST_IMAGES, MOST_IMAGES // len(files))
    chosen = [(view, file) for view, some in files.items() for file in _evenly(some, most)]
    loaded = reading.loaded(
        [[file] for _, file in chosen], replace(contract, views=(), missing_views=False), resize=True
    )
    found: dict[str, list[Measures]] = {view: [] for view in files}
    told = progress.counted(zip(chosen, loaded, strict=True), f"measuring {name} images", len(chosen), "images")
    for (view, _), (pixels, _) in told:
        found[view].append(quality.measured(pixels))
    return found


def _files(part: Manifest, contract: Contract) -> dict[str, list[str]]:
    """Each kind of the contract's views -> its images in the inputs of this part."""
    views = contract.views or ("",)
    found: dict[str, list[str]] = {kind(view): [] for view in views}
    if (part.rows["label"] != "").any():
        for of_input in runs.inputs_of(part, contract).files:
            for view, file in zip(views, of_input, strict=True):
                if not reading.is_missing(file):
                    found[kind(view)].append(file)
    return found


def _evenly(files: list[str], most: int) -> list[str]:
    places = np.linspace(0, len(files) - 1, min(len(files), most)).round().astype(int)
    return [files[at] for at in places]
