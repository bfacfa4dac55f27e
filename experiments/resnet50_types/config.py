"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from cervix_tf.config import Augmentation, Images, Precision, Protocol, SGDConfig, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.ranges import Count, CountOrNone, FileOr, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "Cervix types 1, 2 and 3 with ResNet-50 (Intel & MobileODT)"
CLASSES = datasheet.read("mobileodt").classes
PUBLISHED = published.read(__file__)
TABLES = (1, 2)
PROTOCOLS: tuple[Protocol, ...] = ("as_published", "leak_free")
PUBLISHED_EPOCH = "published_epoch"
"""Column of a history that is 1 in the epoch that the paper keeps, else 0."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """Cervix types by a fine-tuned ResNet-50: Tables 1 and 2, Figs. 4 to 6, and what a random split leaks."""

    synthetic_women: CountOrNone = 0
    """Draw images of this many synthetic women instead of reading a data root."""
    deployed: Protocol = "as_published"
    """The row whose network is exported and whose numbers come first in the report; both rows are run."""
    network: Literal["resnet50", "mobilenet_v2"] = "resnet50"
    """Sec. 3.2."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights (sec. 4.1): imagenet, random, or a weights file without top."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=60, supersampling=4))
    """Batch size: sec. 4.1. Size and resizing: not stated; the photographs have up to 13 megapixels."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """None (sec. 4.2 names it as a way to improve)."""
    hidden: Count = 100
    """Nodes of the layer before the last one (sec. 3.2)."""
    optimizer: SGDConfig = field(default_factory=lambda: SGDConfig(epochs=8, learning_rate=0.001))
    """Sec. 4.1: SGD at 0.001. Epochs: not stated; the error is least at epoch 4, and Fig. 4 shows more than that.
    Momentum and weight decay: not stated."""
    published_epoch: CountOrNone = 4
    """as_published: the epoch that is kept (sec. 4.1: the training error "reached a minimum value at epoch 4"); 0: the
    one with the lowest training loss."""
    test_share: Share = 0.3
    """Share of all images used for testing (sec. 3.1)."""
    validation_share: Share = 0.15
    """leak_free: share of the training split for choosing the epoch (the paper has no such split)."""
    precision: Precision = "float32"
    """Precision of the arithmetic in training (auto: bfloat16 where the hardware supports it); testing and exported
    files use float32."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder per row (needs TensorBoard, which `make venv` installs)."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.published_epoch > self.optimizer.epochs:
            yield "published_epoch", f"must be at most --optimizer.epochs {self.optimizer.epochs}, or 0"

    def criterion(self, protocol: Protocol) -> str:
        """The column of the history by which the protocol keeps its epoch; the paper has no validation part."""
        if protocol == "leak_free":
            return "val_loss"
        return PUBLISHED_EPOCH if self.published_epoch else "loss"


PAPER = Config()

DEMO = Config(
    synthetic_women=300,
    deployed="leak_free",
    published_epoch=0,
    weights="random",
    images=Images(height=64, width=64, batch_size=16, cache="memory"),
    augmentation=Augmentation(rotation=(-180.0, 180.0), horizontal_flip=0.5),
    optimizer=SGDConfig(epochs=12, learning_rate=0.001, momentum=0.9, cosine=True),
)

PUBLIC = Config(
    deployed="leak_free",
    published_epoch=0,
    network="mobilenet_v2",
    images=Images(height=128, width=128, batch_size=30, cache="memory"),
    augmentation=Augmentation(rotation=(-20.0, 20.0), scale=(1.0, 1.3), horizontal_flip=0.5),
    optimizer=SGDConfig(epochs=20, learning_rate=0.01, momentum=0.9, weight_decay=1e-4, cosine=True),
    precision="auto",
)

PUBLIC_LONG = replace(
    PUBLIC,
    images=replace(PUBLIC.images, height=224, width=224),
    augmentation=Augmentation(
        rotation=(-180.0, 180.0),
        scale=(1.0, 1.6),
        horizontal_flip=0.5,
        mirror_outside=True,
        shift=(-0.05, 0.05),
        brightness=(0.8, 1.2),
        contrast=(0.8, 1.2),
        saturation=(0.8, 1.2),
    ),
    optimizer=replace(PUBLIC.optimizer, epochs=40),
)
"""The preset public learns its images by heart: larger ones, changed more, and twice the epochs. Its numbers were set
before its first run."""

PUBLISHED_SMALL = replace(
    PUBLIC,
    network="resnet50",
    weights="random",
    images=Images(height=112, width=112, batch_size=30, cache="memory", supersampling=4),
    optimizer=replace(PUBLIC.optimizer, epochs=30),
)
"""The paper's recipe fine-tunes ImageNet's weights for four epochs, which teaches a network from random weights
nothing; so longer, at the rate and with the augmentation of the preset public."""

PRESETS = {
    "paper": Preset(PAPER, "as published, on your copy of the Kaggle images (--data.root: train and additional)"),
    "demo": Preset(DEMO, "synthetic images in the same layout, small, minutes on two CPU cores"),
    "published-small": Preset(
        PUBLISHED_SMALL, "ResNet-50 from random weights on the Kaggle images, 112 x 112 pixels: an hour on two cores"
    ),
    "public": Preset(
        PUBLIC, "a pre-trained MobileNetV2 on the Kaggle images (--data.root), small enough for two CPU cores"
    ),
    "public-long": Preset(PUBLIC_LONG, "the same at 224 x 224 with more augmentation: an hour on two cores"),
}


def wanted(request: RunRequest) -> list[Protocol]:
    """The rows that a command runs, one a protocol: those it names, else both, since their difference is a result."""
    return study_rows.selected({protocol: protocol for protocol in PROTOCOLS}, request, PROTOCOLS)


def result_dir(config: Config, out: RunDir, protocol: Protocol) -> RunDir:
    """Where a row's predictions and metrics stand: the deployed row's in the run's own folder."""
    return out if protocol == config.deployed else out.row(protocol)


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Protocol]:
    """The rows that a command runs and that are not finished."""
    return study_rows.unfinished(wanted(request), lambda protocol: result_dir(config, out, protocol))


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints: both rows, where the paper has them, their state and their training time."""
    return [
        study_rows.status(
            out,
            protocol,
            "1 2 (deployed)" if protocol == config.deployed else "1 2",
            finished=result_dir(config, out, protocol).metrics.exists(),
            trained_in=[protocol],
            epochs=config.optimizer.epochs,
        )
        for protocol in wanted(request)
    ]
