"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from cervix_tf.config import Augmentation, Images, Source
from cervix_tf.federated.policy import Policy
from cervix_tf.ranges import (
    BelowOne,
    Count,
    CountOrNone,
    Devices,
    Different,
    FileOr,
    NotNegative,
    Positive,
    Range,
    Seed,
    Share,
)

TITLE = "Deep Cervix Model Development from Heterogeneous and Partially Labeled Image Datasets (Pal, Xue, Antani)"
CLASSES = ("control", "case")
PARTS = ("train", "validation", "test")
TABLES = (1, 2)

Network = Literal["resnet50", "mobilenet_v2", "resnet18", "resnet10_narrow"]
Task = Literal["cervigrams", "iarc"]


class Reading(NamedTuple):
    """How the images of a site are read."""

    layout: str
    """Importer of the original layout."""
    folder: str
    """Below the data root."""
    case: tuple[str, ...]
    """Labels in the source that are cases; empty: the site has images without labels only."""
    control: tuple[str, ...]
    view: str = ""
    """Only this kind of view; empty: every image."""
    without: tuple[str, ...] = ()
    """Folders, relative to the site's, that are left out."""


SITES: dict[str, dict[str, Reading]] = {
    "iarc": {
        "colposcopy": Reading("iarc_colposcopy", "iarc_colposcopy", ("cin2_3", "cancer"), ("normal", "cin1"), "acetic"),
        "via": Reading("iarc_via", "iarc_via", ("positive", "suspicious"), ("negative",), "acetic"),
        "mobileodt": Reading("mobileodt", "mobileodt", (), (), without=("train",)),
    }
}
"""Task -> site -> its reading. The cervigrams come as one table with a column site instead."""

DATA = {
    "cervigrams": "cervigrams",
    "iarc": "IARC colposcopy (CIN2+ against less) and IARC VIA (positive against negative), with MobileODT unlabelled "
    "as a third site (stand-in)",
}


@dataclass(frozen=True)
class Momentum:
    """Stochastic gradient descent with momentum, as sec. III-D's numbers suggest; the paper names no optimiser."""

    epochs: Count = 50
    learning_rate: Positive = 0.01
    momentum: BelowOne = 0.9
    weight_decay: NotNegative = 1e-5


@dataclass(frozen=True)
class Config:
    """Self-supervised pre-training of a cervix model, centralised and federated: Tables I and II, Fig. 2."""

    data: Source = field(default_factory=Source)
    task: Task = "cervigrams"
    """Data: cervigrams (the paper: a CSV with path, label, woman, site and perhaps split) or iarc (stand-in)."""
    synthetic_women: CountOrNone = 0
    """Draw cervigrams of this many synthetic women at each of two sites instead of reading a data root."""
    synthetic_labelled: Count = 40
    """How many of a synthetic site's women outside its test part have a label."""
    network: Network = "resnet50"
    """Sec. III-B."""
    weights: Annotated[str, FileOr("imagenet", "drawn")] = "imagenet"
    """First weights of the row ImageNet (sec. III-C): imagenet, a weights file without top, or drawn: as a stand-in,
    weights that were trained to tell drawn textures apart."""
    start: Literal["imagenet", "random"] = "imagenet"
    """First weights of self-supervised learning: not stated; sec. III-B removes "the top 1000-way classification
    layer" before it."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=32))
    """Size: not stated. Batch size: of evaluation."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            rotation=(-30.0, 30.0),
            scale=(0.8, 1.2),
            horizontal_flip=0.5,
            vertical_flip=0.5,
            shift=(-0.1, 0.1),
            gamma=(0.7, 1.4),
            brightness=(0.7, 1.3),
        )
    )
    """Of self-supervised learning, sec. II-B: which changes. Ranges: not stated."""
    views: Literal["image_and_augmented", "two_augmented"] = "image_and_augmented"
    """Sec. II-A: "N random images and an augmented version of them"; SimCLR augments both views."""
    projection: Count = 64
    """Neurons of the dense layer (sec. III-B)."""
    normalise: bool = True
    """Stretch features to length 1 before Eq. 1: not stated; SimCLR does."""
    temperature: Positive = 0.1
    """Sec. III-D."""
    ssl: Momentum = field(default_factory=Momentum)
    """Sec. III-D."""
    batch_sizes: Annotated[tuple[int, ...], Range(2), Different()] = (8, 16, 32)
    """N, images a batch of self-supervised learning (Table II)."""
    federated_batch_size: Annotated[int, Range(2)] = 8
    """N of the federations (sec. IV)."""
    local_epochs: Annotated[tuple[int, ...], Range(1), Different()] = (1, 5, 10)
    """E tried for client-server federation; the first is Table II's (sec. IV: E = 1 is best)."""
    federation: Policy = field(default_factory=Policy)
    """Rounds are those at E = 1; at E = 5 a fifth of them. Plain averaging: sec. II-B, clients not said to be weighted.
    Batch normalisation and optimiser: not stated."""
    fine_tuning: Momentum = field(default_factory=lambda: Momentum(50, 0.001, 0.09, 1e-6))
    """Sec. III-D, momentum 0.09 as printed."""
    fine_tuning_batch: Count = 4
    """Sec. III-D."""
    fine_tuning_augmentation: Augmentation = field(default_factory=Augmentation)
    """None is mentioned."""
    patience: CountOrNone = 5
    """Epochs (rounds) without a lower validation loss that end a training (sec. III-D)."""
    validation_share: Share = 0.2
    """Share of all groups, where the source prescribes no split."""
    test_share: Share = 0.3
    """Share of all groups, where the source prescribes no split."""
    seed: Seed = 0
    devices: Devices = "all"
    """all, cpu, or a number: several are mirrored (sec. III-E: two GPUs)."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.validation_share + self.test_share >= 1:
            yield (
                "validation_share",
                f"and --test-share {self.test_share:g} leave nothing to train on; lower one of them",
            )


PAPER = Config()

DEMO = Config(
    synthetic_women=500,
    synthetic_labelled=34,
    network="resnet10_narrow",
    weights="drawn",
    start="random",
    images=Images(height=64, width=64, batch_size=64, cache="memory"),
    views="two_augmented",
    ssl=Momentum(6, 0.05, 0.9, 1e-5),
    federation=Policy(rounds=6),
    local_epochs=(1, 2, 6),
    fine_tuning=Momentum(12, 0.005, 0.9, 1e-6),
    fine_tuning_augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
)

PUBLIC = Config(
    task="iarc",
    network="mobilenet_v2",
    images=Images(height=96, width=96, batch_size=64, cache="memory"),
    views="two_augmented",
    ssl=Momentum(6, 0.01, 0.9, 1e-5),
    federation=Policy(rounds=6),
    local_epochs=(1,),
    fine_tuning=Momentum(10, 0.001, 0.9, 1e-6),
    fine_tuning_augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
)

PRESETS = {"paper": PAPER, "demo": DEMO, "public": PUBLIC}
DESCRIPTIONS = {
    "paper": "as published, on your cervigrams: a CSV with path, label, woman, site in --data.root",
    "demo": "synthetic cervigrams of two sites, small images, minutes on two CPU cores",
    "public": "IARC colposcopy and IARC VIA with MobileODT unlabelled as a stand-in (--data.root: their common folder)",
}
