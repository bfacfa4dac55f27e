"""Every number of the study; there is no paper, so each says why it is what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple, get_args

from cervix_tf import ranges
from cervix_tf.config import AdamConfig, Augmentation, Images, Precision, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.progress import duration
from cervix_tf.ranges import Count, CountOrNone, Different, FileOr, Range, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "Trained on one data set, tested on another (our own study)"
PUBLISHED = published.read(__file__)

Cells = Literal["sipakmed", "herlev", "cric_crops"]
Photographs = Literal["iarc_colposcopy", "iarc_via"]
Source = Literal["mobileodt"]
DataSet = Literal[Cells, Photographs, Source]
"""Each name is a layout that can be imported, its data sheet, and its folder below the data root."""
Variant = Literal["", "reinhard", "bethesda", "mobileodt"]
"""A network of images as they are; of normalized colors (Reinhard); of Bethesda classes; one that has first learned the
types of MobileODT."""


class Block(NamedTuple):
    """Data sets of one kind of image; a network of each is tested on all of them."""

    title: str
    data_sets: tuple[DataSet, ...]
    variants: tuple[Variant, ...]


_PHOTOGRAPHS: tuple[DataSet, ...] = get_args(Photographs)
SOURCE: Source = "mobileodt"
"""Has no diagnoses: its photographs are there to learn from before those that have some."""
BLOCKS = {
    1: Block("Cells", get_args(Cells), ("", "reinhard")),
    2: Block("Cervix photographs", _PHOTOGRAPHS, ("", "reinhard")),
    3: Block("Cells, three Bethesda classes", ("herlev", "cric_crops"), ("bethesda",)),
    4: Block("Cervix photographs, pre-trained on MobileODT", _PHOTOGRAPHS, ("", "mobileodt")),
}
"""Number of the table -> its data sets and networks."""
TABLES = tuple(BLOCKS)
DATA_SETS: tuple[DataSet, ...] = (*BLOCKS[1].data_sets, *BLOCKS[2].data_sets, SOURCE)
DRAWN: tuple[DataSet, ...] = ("sipakmed", "cric_crops")
"""Layouts that the synthetic cells come in."""
SHEETS = {name: datasheet.read(name) for name in DATA_SETS}


class Task(NamedTuple):
    """What a network tells apart."""

    labels: Mapping[str, tuple[str, ...]]
    """Class -> its labels in the data sets; images with other labels have no part in it."""
    positive: tuple[str, ...]
    """Classes of the binary reading."""

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""
        return tuple(self.labels)


_DIAGNOSED = [sheet for name, sheet in SHEETS.items() if name != SOURCE]
BINARY = Task(
    {
        "negative": tuple(label for each in _DIAGNOSED for label in each.classes if label not in each.positive),
        "positive": tuple(label for each in _DIAGNOSED for label in each.positive),
    },
    ("positive",),
)
"""Which labels are positive, and by what source, each data sheet says."""
BETHESDA = Task(
    {
        "NILM": ("NILM", "normal_superficiel", "normal_intermediate", "normal_columnar"),
        "LSIL": ("LSIL", "light_dysplastic"),
        "HSIL": ("HSIL", "moderate_dysplastic", "severe_dysplastic", "carcinoma_in_situ"),
    },
    ("LSIL", "HSIL"),
)
"""CRIC's own classes, and what the Bethesda System makes of Herlev's: LSIL encompasses mild dysplasia, HSIL moderate
and severe dysplasia and carcinoma in situ (Solomon et al., JAMA 287, 2002). Left out: what Herlev has no class for
(ASC-US, ASC-H, SCC), and SIPaKMeD, whose classes are types of cell, not grades."""
TYPES = Task({label: (label,) for label in SHEETS[SOURCE].classes}, ())
CLASSES, POSITIVE, LABEL_MAP = BINARY.classes, BINARY.positive, BINARY.labels


@dataclass(frozen=True)
class Config(StudyConfig):
    """One network for each data set, tested on the held-out images of every data set of its kind."""

    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells per class, in the layouts of SIPaKMeD and CRIC, instead of reading a data root."""
    data_sets: Annotated[tuple[DataSet, ...], Different()] = DATA_SETS
    """Data sets to train and test on (mobileodt only to train on): folders of these names below the data root."""
    main: Literal[Cells, Photographs] = "sipakmed"
    """The data set whose network is exported and whose own test comes first in the report."""
    network: Literal["mobilenet_v2", "resnet10_narrow"] = "mobilenet_v2"
    """Network of all rows; with its initial weights it also gives the features by which domains are compared."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights: imagenet, random, or a weights file without top."""
    images: Images = field(default_factory=lambda: Images(height=96, width=96, batch_size=16, cache="memory"))
    """About the size of CRIC's crops; small enough for two CPU cores. The smallest training split has 80 images."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            rotation=(-20.0, 20.0), scale=(1.0, 1.2), horizontal_flip=0.5, vertical_flip=0.5, mirror_outside=True
        )
    )
    """Geometry only: changed colors would hide what normalization does."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=15, learning_rate=5e-4, weight_decay=0.01))
    """As in the public preset of cvm_cervix. SGD at 0.01, tried earlier, did not settle: training loss above 0.6."""
    cosine: bool = True
    """Let the learning rate fall to zero over the epochs, along a cosine."""
    normalization: bool = True
    """Also train and test on images whose colors are shifted to those of the training images (Reinhard)."""
    most_training_images: Count = 1000
    """Largest training split; from a larger one, whole groups are left out at random."""
    validation_share: Share = 0.15
    """Share of each data set's groups for choosing the epoch of its network."""
    test_share: Share = 0.3
    """Share of each data set's groups held out: the test images of every network."""
    distance_images: Annotated[int, Range(2, 100_000)] = 500
    """Images of each domain for measuring the distance between two: at most this many, and no more than the smallest
    split has."""
    local_cases: Annotated[int, Range(20, 1000)] = 20
    """Cases of the tested data set, half of them positive, on which a network is recalibrated."""
    recalibrations: Count = 50
    """Draws of such cases, over which recalibrated results are averaged."""
    precision: Precision = "auto"
    """Precision of the arithmetic in training (auto: bfloat16 where the hardware supports it); testing and exported
    files use float32."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        yield from ranges.nothing_left(self, "validation_share", "test_share")
        if self.main not in self.data_sets:
            yield "main", f"is not among --data-sets; give --main {self.data_sets[0]}"
        for name in self.data_sets:
            if name not in usable(self.data_sets):
                yield "data_sets", f"has nothing to test {name} on; add one of {', '.join(_kind(name))}"
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
    variant: Variant = ""

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return self.data_set + (f"-{self.variant}" if self.variant else "")

    @property
    def task(self) -> Task:
        """What it tells apart."""
        return TYPES if self.data_set == SOURCE else BETHESDA if self.variant == "bethesda" else BINARY


def usable(names: Iterable[DataSet]) -> list[DataSet]:
    """Those of some data sets whose networks have two of these to be tested on."""
    given = set(names)
    return [name for name in DATA_SETS if name in given and len(given.intersection(_kind(name))) > 1]


def _kind(name: DataSet) -> tuple[DataSet, ...]:
    """The data sets of one kind that a network of this one is there for."""
    return next((block.data_sets for block in BLOCKS.values() if name in block.data_sets), _PHOTOGRAPHS)


def data_sets(config: Config, block: Block) -> list[DataSet]:
    """The data sets of a block that the run has."""
    return [name for name in block.data_sets if name in config.data_sets]


def same_kind(config: Config, row: Row) -> list[DataSet]:
    """What a network is tested on: the data sets of its block, its own included."""
    if row.data_set == SOURCE:
        return [SOURCE]
    blocks = (each for each in BLOCKS.values() if row.data_set in each.data_sets and row.variant in each.variants)
    return data_sets(config, next(blocks))


def block_rows(config: Config, number: int) -> list[Row]:
    """The networks of a table, in its order; none where the run lacks data sets that it needs."""
    block = BLOCKS[number]
    first = [Row(SOURCE)] if SOURCE in block.variants else []
    if len(names := data_sets(config, block)) < 2 or (first and SOURCE not in config.data_sets):
        return []
    variants = [each for each in block.variants if config.normalization or each != "reinhard"]
    return [*first, *(Row(name, variant) for name in names for variant in variants)]


def every_row(config: Config) -> dict[str, Row]:
    """All rows by name, in the order of the tables."""
    return {row.name: row for number in TABLES for row in block_rows(config, number)}


def wanted(config: Config, request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else those of its tables, else all, since they are one result."""
    default = [row.name for number in request.tables or TABLES for row in block_rows(config, number)]
    return study_rows.selected(every_row(config), request, default)


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
            ", ".join(str(number) for number in TABLES if row in block_rows(config, number)),
            finished=result_dir(config, out, row).metrics.exists(),
            trained_in=[row.name],
            epochs=config.optimizer.epochs,
            estimate=_estimate(config, row),
        )
        for row in wanted(config, request)
    ]


_SECONDS = 0.018
"""Of training on one image for an epoch, on two CPU cores with AVX512-BF16: SIPaKMeD's row took 270 s for 15 epochs of
1000 images (results/README.md)."""


def _estimate(config: Config, row: Row) -> str:
    """What training takes at most, on the whole data set; empty for a network or images that were not measured."""
    measured = PUBLIC
    if (config.network, config.images) != (measured.network, measured.images):
        return ""
    expected = SHEETS[row.data_set].expected
    images = expected.images or sum(expected.per_split.values())
    share = 1 - config.validation_share - config.test_share
    trained = min(config.most_training_images, share * images)
    after = f", after {SOURCE}" if row.variant == SOURCE else ""
    return f"at most {duration(_SECONDS * trained * config.optimizer.epochs)}{after}"
