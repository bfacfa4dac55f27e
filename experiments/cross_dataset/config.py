"""Every number of the study; there is no paper, so each says why it is what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple, get_args

from cervix_tf import ranges
from cervix_tf.config import AdamConfig, Augmentation, Images, Precision, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.ranges import Count, CountOrNone, Different, FileOr, Range, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "Trained on one data set, tested on another (our own study)"
PUBLISHED = published.read(__file__)

Cells = Literal["sipakmed", "herlev", "cric_crops"]
Photographs = Literal["iarc_colposcopy", "iarc_via"]
DataSet = Literal[Cells, Photographs]
"""Each name is a layout that can be imported, its data sheet, and its folder below the data root."""


class Block(NamedTuple):
    """Data sets of one kind of image; a network of each is tested on all of them."""

    title: str
    data_sets: tuple[DataSet, ...]


BLOCKS = {1: Block("Cells", get_args(Cells)), 2: Block("Cervix photographs", get_args(Photographs))}
"""Number of the table -> its data sets."""
TABLES = tuple(BLOCKS)
DATA_SETS: tuple[DataSet, ...] = tuple(name for block in BLOCKS.values() for name in block.data_sets)
DRAWN: tuple[DataSet, ...] = ("sipakmed", "cric_crops")
"""Layouts that the synthetic cells come in."""

CLASSES = ("negative", "positive")
POSITIVE = ("positive",)
SHEETS = {name: datasheet.read(name) for name in DATA_SETS}
LABEL_MAP = {
    "negative": tuple(label for each in SHEETS.values() for label in each.classes if label not in each.positive),
    "positive": tuple(label for each in SHEETS.values() for label in each.positive),
}
"""Class -> its labels in the data sets; which are positive, and by what source, each data sheet says."""
REINHARD = "-reinhard"
"""What the name of a row ends with whose images have their colors normalized."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """One network for each data set, tested on the held-out images of every data set of its kind."""

    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells per class, in the layouts of SIPaKMeD and CRIC, instead of reading a data root."""
    data_sets: Annotated[tuple[DataSet, ...], Different()] = DATA_SETS
    """Those that are trained and tested on: folders of these names below the data root."""
    main: DataSet = "sipakmed"
    """The data set whose network is exported and whose own test heads the report."""
    network: Literal["mobilenet_v2", "resnet10_narrow"] = "mobilenet_v2"
    """Of all rows; with its initial weights it also gives the features that domains are compared by."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights: imagenet, random, or a weights file without top."""
    images: Images = field(default_factory=lambda: Images(height=96, width=96, batch_size=16, cache="memory"))
    """About what CRIC's crops have; small enough for two CPU cores. The smallest training split has 80 images."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            rotation=(-20.0, 20.0), scale=(1.0, 1.2), horizontal_flip=0.5, vertical_flip=0.5, mirror_outside=True
        )
    )
    """Geometry alone: changed colors would hide what normalization does."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=15, learning_rate=5e-4, weight_decay=0.01))
    """As the public preset of cvm_cervix. SGD at 0.01, tried before, did not settle: training loss above 0.6."""
    cosine: bool = True
    """Let the learning rate fall to nothing over the epochs, along a cosine."""
    normalization: bool = True
    """Also train and test on images whose colors are moved to those of the training images (Reinhard)."""
    most_training_images: Count = 1000
    """Whole groups are left out of a larger training split, at random."""
    validation_share: Share = 0.15
    """Share of the groups of each data set that chooses the epoch of its network."""
    test_share: Share = 0.3
    """Share of the groups of each data set held out: the test images of every network."""
    distance_images: Annotated[int, Range(2, 100_000)] = 500
    """Of each of two domains whose distance is taken: at most so many, and as many as the smallest split has."""
    local_cases: Annotated[int, Range(20, 1000)] = 20
    """Cases of the tested data set, half of them positive, on which a network is recalibrated."""
    recalibrations: Count = 50
    """Draws of such cases, over which recalibrated results are averaged."""
    precision: Precision = "auto"
    """Of the arithmetic in training (auto: bfloat16 where the hardware supports it); what is tested and exported
    computes in float32."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        yield from ranges.nothing_left(self, "validation_share", "test_share")
        if self.main not in self.data_sets:
            yield "main", f"is not among --data-sets; give --main {self.data_sets[0]}"
        for block in BLOCKS.values():
            if len(alone := [name for name in block.data_sets if name in self.data_sets]) == 1:
                yield "data_sets", f"has nothing to test {alone[0]} on; add one of {', '.join(block.data_sets)}"
        if self.synthetic_cells and not set(self.data_sets) <= set(DRAWN):
            yield "synthetic_cells", f"are drawn in two layouts alone; give --data-sets {' '.join(DRAWN)}"
        if self.local_cases % 2:
            yield "local_cases", "must be even: half of them are positive"


PUBLIC = Config()

DEMO = replace(
    PUBLIC,
    synthetic_cells=60,
    data_sets=DRAWN,
    network="resnet10_narrow",
    weights="random",
    images=Images(height=48, width=48, batch_size=16, cache="memory"),
    optimizer=AdamConfig(epochs=8, learning_rate=3e-3),
    distance_images=100,
)

PRESETS = {
    "public": Preset(PUBLIC, "a pre-trained MobileNetV2 on your copies of the data sets (folders below --data.root)"),
    "demo": Preset(DEMO, "synthetic cells in two layouts, small, a minute or two on two CPU cores"),
}


class Row(NamedTuple):
    """One trained network."""

    data_set: DataSet
    """What it is trained on."""
    normalized: bool = False
    """Whether its images have their colors normalized."""

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return self.data_set + (REINHARD if self.normalized else "")


def data_sets(config: Config, block: Block) -> list[DataSet]:
    """The data sets of a block that the run has."""
    return [name for name in block.data_sets if name in config.data_sets]


def same_kind(config: Config, data_set: DataSet) -> list[DataSet]:
    """What a network of a data set is tested on: the data sets of its block, its own included."""
    return next(found for block in BLOCKS.values() if data_set in (found := data_sets(config, block)))


def every_row(config: Config) -> dict[str, Row]:
    """All rows by name, in the order of the tables."""
    colors = (False, True) if config.normalization else (False,)
    rows = [Row(each, color) for block in BLOCKS.values() for each in data_sets(config, block) for color in colors]
    return {row.name: row for row in rows}


def wanted(config: Config, request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else those of its tables, else all, since they are one result."""
    there = every_row(config)
    tables = [BLOCKS[number].data_sets for number in request.tables or TABLES]
    default = [name for name, row in there.items() if any(row.data_set in each for each in tables)]
    return study_rows.selected(there, request, default)


def result_dir(config: Config, out: RunDir, row: Row, tested: DataSet | None = None) -> RunDir:
    """Where a row's predictions and metrics on a data set stand, without one on its own.

    Those of the main row on its own data set stand in the run's own folder.
    """
    if tested not in (None, row.data_set):
        return out.row(f"{row.name}-on-{tested}")
    return out if row == Row(config.main) else out.row(row.name)


def local_dir(out: RunDir, row: Row, tested: DataSet) -> RunDir:
    """Where a row's predictions on the training and validation splits of another data set stand."""
    return out.row(f"{row.name}-on-{tested}-local")


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Row]:
    """The rows that a command runs and that are not finished: the result on a row's own data set is written last."""
    return study_rows.unfinished(wanted(config, request), lambda row: result_dir(config, out, row))


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints."""
    return [
        study_rows.status(
            out,
            row.name,
            ", ".join(str(number) for number, block in BLOCKS.items() if row.data_set in block.data_sets),
            finished=result_dir(config, out, row).metrics.exists(),
            trained_in=[row.name],
            epochs=config.optimizer.epochs,
        )
        for row in wanted(config, request)
    ]
