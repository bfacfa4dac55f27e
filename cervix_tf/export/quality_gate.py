"""The gate of a finished run: limits from the images that its model was trained and chosen on."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from cervix_tf import progress, quality, runs
from cervix_tf.contract import Contract
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.views import kind
from cervix_tf.export import reading
from cervix_tf.quality import Gate, Measures
from cervix_tf.run_dir import RunDir

MOST_IMAGES = 2000
"""Of each part, evenly chosen: more make the limits no more certain than the images' own variety does."""


def write(out: RunDir, listed: Manifest) -> Gate | None:
    """Write the gate of the run's model and give it; None, and none is there then, of too few training images.

    Raises `InputError` when an image cannot be read.
    """
    contract = runs.contract(out)
    of_part = {name: _measured(listed.part(name), contract, name) for name in ("train", "validation")}
    out.quality.unlink(missing_ok=True)
    training = of_part["train"]
    if min(map(len, training.values()), default=0) < quality.FEWEST_IMAGES:
        return None
    gate = Gate({name: quality.limits(some, of_part["validation"].get(name, ())) for name, some in training.items()})
    gate.write(out.quality, contract)
    return gate


def _measured(part: Manifest, contract: Contract, name: str) -> dict[str, list[Measures]]:
    """Kind of view -> measures of evenly chosen images of this part; nothing where none is labeled."""
    if not (part.rows["label"] != "").any():
        return {}
    files = runs.inputs_of(part, contract).files
    count = min(len(files), max(quality.FEWEST_IMAGES, MOST_IMAGES // contract.image_files))
    places = np.linspace(0, len(files) - 1, count).round().astype(int)
    found: dict[str, list[Measures]] = defaultdict(list)
    chosen = [files[at] for at in places]
    loaded = reading.loaded(chosen, contract, resize=True)
    told = progress.counted(zip(chosen, loaded, strict=True), f"measuring {name} images", count, "inputs")
    for of_input, (pixels, _) in told:
        views = zip(contract.views or ("",), of_input, pixels if contract.views else [pixels], strict=True)
        for view, file, image in views:
            if not reading.is_missing(file):
                found[kind(view)].append(quality.measured(image))
    return found
