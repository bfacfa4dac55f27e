"""The small dataclasses that a paper's `Config` is made of.

Every field's docstring is its line in `--help`. Values here are neutral; a paper
states its own in its `config.py`, each with the section it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cervix_tf.ranges import (
    BelowOne,
    Count,
    Devices,
    NotNegative,
    Positive,
    Probability,
    Range,
    Rising,
    Seed,
    Written,
    ZeroOr,
)

Protocol = Literal["as_published", "leak_free"]
Precision = Literal["auto", "float32", "bfloat16"]
"""auto: bfloat16 where the hardware supports it, else float32; chosen when a run starts."""
Phi = Literal["x", "x^3", "exp(x)", "exp(10x)", "exp(100x)"]
"""How class weights grow with the error rate (see `cervix_tf.losses.dynamic_weights`)."""
MOST_SUPERSAMPLING = 8
"""Samples along each side of a resized pixel; a contract that asks for more is refused too."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of one training image, drawn again each epoch: one affine resampling, then tones and colors."""

    rotation: Annotated[tuple[float, float], Range(-360, 360), Rising()] = (0.0, 0.0)
    """Degrees, counter-clockwise, uniform between the two."""
    scale: Annotated[tuple[float, float], Range(0, 100, above=True), Rising()] = (1.0, 1.0)
    """Magnification, uniform between the two; 2 shows the central half of each side."""
    shear: Annotated[tuple[float, float], Range(-90, 90, above=True, below=True), Rising()] = (0.0, 0.0)
    """Degrees along x, uniform between the two."""
    horizontal_flip: Probability = 0.0
    """Probability."""
    vertical_flip: Probability = 0.0
    """Probability."""
    quarter_turns: bool = False
    """Also turn by 0, 90, 180 or 270 degrees, even a stretched image: for cells, which have no upright."""
    mirror_outside: bool = False
    """Fill the area beyond the image's edges with its mirror image instead of black."""
    shift: Annotated[tuple[float, float], Range(-1, 1), Rising()] = (0.0, 0.0)
    """Shares of the width and of the height, uniform between the two, each drawn independently."""
    gamma: Annotated[tuple[float, float], Range(0, 100, above=True), Rising()] = (1.0, 1.0)
    """Exponent of pixels in [0, 1], its logarithm uniform between the two; above 1 darkens."""
    brightness: Annotated[tuple[float, float], Range(0, 100), Rising()] = (1.0, 1.0)
    """Factor applied to the pixels after that, uniform between the two; what exceeds white is white."""
    contrast: Annotated[tuple[float, float], Range(0, 100), Rising()] = (1.0, 1.0)
    """Factor applied to the distance from the image's mean gray, uniform between the two."""
    saturation: Annotated[tuple[float, float], Range(0, 100), Rising()] = (1.0, 1.0)
    """Factor applied to the distance from each pixel's gray, uniform between the two."""


_SIDE = Range(8, 8192)


@dataclass(frozen=True)
class Images:
    """Size and batching of what goes into a network."""

    height: Annotated[int, _SIDE] = 224
    """Pixels."""
    width: Annotated[int, _SIDE] = 224
    """Pixels."""
    batch_size: Count = 32
    """Images (or cases) per step, over all devices together."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Keep decoded images (about 0.9 MB each at 480 x 640), so that every epoch after the first skips decoding. On
    disk, they are in the user's cache folder (~/.cache/cervix_tf, or CERVIX_TF_CACHE), which nobody else can read."""
    supersampling: Annotated[int, Range(1, MOST_SUPERSAMPLING)] = 1
    """Resize bilinearly to this many times the network's size, then average blocks of that many pixels a side. 1: plain
    bilinear, which skips most pixels of a photograph of several megapixels."""
    size: Annotated[int, ZeroOr(_SIDE)] = 0
    """Pixels of both sides at once; 0: use height and width."""

    def __post_init__(self) -> None:
        """Height and width are what networks ask for, so that `size` is written there."""
        if not _SIDE.problem(self.size):
            object.__setattr__(self, "height", self.size)
            object.__setattr__(self, "width", self.size)


@dataclass(frozen=True)
class AdamConfig:
    """Training with Adam, or AdamW where there is weight decay."""

    epochs: Count = 10
    learning_rate: Positive = 1e-4
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: Positive = 1e-8
    weight_decay: NotNegative = 0.0


@dataclass(frozen=True)
class SGDConfig:
    """Training with stochastic gradient descent."""

    epochs: Count = 10
    learning_rate: Positive = 0.01
    momentum: BelowOne = 0.0
    weight_decay: NotNegative = 0.0
    cosine: bool = False
    """Let the learning rate fall to zero over the epochs, along a cosine."""


_FOLDER = Written(".+", "the name of a folder")


@dataclass(frozen=True)
class Source:
    """Where the images come from."""

    root: Path | None = None
    """Folder of the images in their original layout."""
    manifest: Path | None = None
    """Manifest CSV from `python -m cervix_tf.data import`; without one, the root is imported."""
    labels: tuple[tuple[str, str], ...] = ()
    """Class folder or label in the source, then the class it stands for, and so on: healthy normal grade_1 cin1."""
    train_folder: Annotated[str, _FOLDER] = "train"
    """Cervigram visits: folder of the training visits, relative to the root."""
    test_folder: Annotated[str, _FOLDER] = "test"
    """Cervigram visits: folder of the test visits, relative to the root."""
    overrides: Path | None = None
    """Cervigram visits: CSV with columns visit, file, view for visits whose file names give the wrong order."""
    damaged: Literal["fail", "skip"] = "fail"
    """What to do with images that are damaged or otherwise cannot be read: stop and name them, or leave them out, named
    and counted in the report."""


@dataclass(frozen=True)
class StudyConfig:
    """What the configuration of every study has; each adds its paper's numbers."""

    data: Source = Source()
    seed: Seed = 0
    devices: Devices = "all"
    """all, cpu, or a number; several devices are mirrored."""


def is_drawn(config: Mapping[str, Any]) -> bool:
    """Whether a study draws its images, by its fields or what config.json has of them.

    The first field that begins with `synthetic_` is the number of what is drawn.
    """
    return bool(next((value for name, value in config.items() if name.startswith("synthetic_")), 0))
