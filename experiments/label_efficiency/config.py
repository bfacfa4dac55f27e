"""Every number of the study; there is no paper, so each says why it is what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple, get_args

from cervix_tf.config import AdamConfig, Augmentation, Images, Precision, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.federated.policy import Policy
from cervix_tf.progress import duration
from cervix_tf.ranges import Count, CountOrNone, Different, FileOr, Positive, Range, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "Label efficiency of self-supervised initial weights (our own study)"
PUBLISHED = published.read(__file__)

DataSet = Literal["sipakmed", "mobileodt"]
"""Each name is a layout that can be imported, its data sheet, and its folder below the data root."""
DATA_SETS: tuple[DataSet, ...] = get_args(DataSet)
NUMBERS: dict[DataSet, int] = {name: number for number, name in enumerate(DATA_SETS, 1)}
TABLES = tuple(NUMBERS.values())
SHEETS = {name: datasheet.read(name) for name in DATA_SETS}
DRAWN: DataSet = "sipakmed"
"""The layout that the synthetic cells come in."""

Score = Literal["accuracy", "balanced_accuracy"]
SCORES: dict[DataSet, tuple[Score, ...]] = {"sipakmed": ("accuracy",), "mobileodt": ("balanced_accuracy", "accuracy")}
"""What is reported, differences and curves of the first: SIPaKMeD's classes are even, MobileODT's 17, 53 and 30 %."""

Initialization = Literal["random", "imagenet", "simclr", "federated"]
INITIALIZATIONS: tuple[Initialization, ...] = get_args(Initialization)
TRAINED: tuple[Initialization, ...] = ("simclr", "federated")
Probe = Literal["linear", "knn"]
PROBES: tuple[Probe, ...] = get_args(Probe)

MINUTES_AN_EPOCH: dict[DataSet, float] = {"sipakmed": 0.23, "mobileodt": 0.13}
"""Of the public preset on two cores with AVX512-BF16: what `--list` says before the first epoch is done."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """Accuracy against the share of labels, on frozen features of four initializations: Tables 1 and 2."""

    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells per class, in the layout of SIPaKMeD, instead of reading a data root."""
    data_sets: Annotated[tuple[DataSet, ...], Different()] = DATA_SETS
    """Folders of these names below the data root."""
    network: Literal["mobilenet_v2", "resnet10_narrow"] = "mobilenet_v2"
    """Network of all rows."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Weights of the row ImageNet: imagenet or a weights file without top; random: leave that row out."""
    start: Literal["imagenet", "random"] = "imagenet"
    """What self-supervised learning starts from. With ImageNet weights, as far as two CPU cores can train, the
    difference from the row ImageNet is what unlabeled images add."""
    draws: Annotated[tuple[int, ...], Range(0, 2**32 - 1), Different()] = (0, 1, 2)
    """Seeds, with one result each: for the labels used, random initial weights and self-supervised learning. The test
    images are the same in all (`--seed`)."""
    shares: Annotated[tuple[int, ...], Range(1, 100), Different()] = (5, 10, 25, 50, 100)
    """Percent of the training images whose labels are used; each share contains the smaller ones."""
    images: Images = field(default_factory=lambda: Images(height=96, width=96, batch_size=64, cache="memory"))
    """Small enough for two CPU cores. Batch size: also N of self-supervised learning, 64 images, two views each."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            rotation=(-30.0, 30.0),
            scale=(1.0, 2.0),
            shift=(-0.15, 0.15),
            horizontal_flip=0.5,
            vertical_flip=0.5,
            mirror_outside=True,
            gamma=(0.7, 1.4),
            brightness=(0.7, 1.3),
            contrast=(0.6, 1.4),
            saturation=(0.2, 1.8),
        )
    )
    """For both views: crops and changes of color, which SimCLR needs most (Chen et al. 2020, sec. 3.1), and the
    rotations and flips of cells and photographs. Without its blur and its change of hue."""
    projection: Count = 128
    """Width of the features that the loss compares, as in SimCLR."""
    temperature: Positive = 0.1
    """As in lightly's SimCLR benchmark."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=20, learning_rate=5e-4, weight_decay=0.01))
    """For self-supervised learning, as cross_dataset from the same weights; 3 to 5 minutes on two cores. The learning
    rate stays constant, so that a federation, which has no schedule, differs in nothing else."""
    sites: Annotated[int, Range(2)] = 2
    """Sites of the federation: the groups of the training images (slides, near-duplicates) are divided among them."""
    neighbors: Count = 200
    """Number of neighbors that vote in kNN, fewer if there are fewer labels: from lightly's benchmarks, after Wu et al.
    2018."""
    vote_temperature: Positive = 0.1
    """A neighbor's vote counts exp(cosine similarity / this): from lightly's benchmarks, after Wu et al. 2018."""
    regularization: Annotated[tuple[float, ...], Range(0, above=True), Different()] = (1e-4, 1e-3, 1e-2, 1e-1)
    """C of the linear evaluation (scikit-learn's, on standardized features): the best of these in a cross-validation on
    the labels in use, so that no other label counts."""
    folds: Annotated[int, Range(2)] = 3
    """Folds of that cross-validation, by group."""
    test_share: Share = 0.3
    """Share of the labeled images held out, by group, for testing every row."""
    precision: Precision = "auto"
    """Precision of the arithmetic in self-supervised learning (auto: bfloat16 where the hardware supports it); features
    are float32."""

    @property
    def policy(self) -> Policy:
        """What the federation agrees on: as many passes over every image as without it, plain averaging."""
        return Policy(rounds=self.optimizer.epochs, optimizer="persist")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if list(self.shares) != sorted(self.shares):
            yield "shares", "must rise: each share lies within the next"
        if self.weights == "random" and self.start == "imagenet":
            yield "start", "has no ImageNet weights to start from with --weights random; give --start random"
        if self.synthetic_cells and self.data_sets != (DRAWN,):
            yield "synthetic_cells", f"are drawn in one layout alone; give --data-sets {DRAWN}"


PUBLIC = Config()

DEMO = replace(
    PUBLIC,
    synthetic_cells=60,
    data_sets=(DRAWN,),
    network="resnet10_narrow",
    weights="random",
    start="random",
    shares=(10, 25, 50, 100),
    images=Images(height=48, width=48, batch_size=32, cache="memory"),
    optimizer=AdamConfig(epochs=4, learning_rate=1e-3),
)

PRESETS = {
    "public": Preset(PUBLIC, "MobileNetV2 on your copies of SIPaKMeD and MobileODT (folders below --data.root)"),
    "demo": Preset(DEMO, "synthetic cells, small, no ImageNet weights, minutes on two CPU cores"),
}


class Row(NamedTuple):
    """One network whose features are measured."""

    data_set: DataSet
    initialization: Initialization
    draw: int | None
    """Its seed; None for ImageNet's weights, which are one network for all draws of labels."""

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return f"{self.data_set}-{self.initialization}" + ("" if self.draw is None else f"-{self.draw}")

    def draws(self, config: Config) -> tuple[int, ...]:
        """The draws of labels that its features are measured with."""
        return config.draws if self.draw is None else (self.draw,)


def initializations(config: Config) -> list[Initialization]:
    """Those that the run has."""
    return [each for each in INITIALIZATIONS if each != "imagenet" or config.weights != "random"]


def every_row(config: Config) -> dict[str, Row]:
    """All rows by name, those without training first."""
    rows = [
        Row(data_set, each, draw)
        for each in initializations(config)
        for data_set in config.data_sets
        for draw in ((None,) if each == "imagenet" else config.draws)
    ]
    return {row.name: row for row in rows}


def row_of(data_set: DataSet, initialization: Initialization, draw: int) -> Row:
    """The network of an initialization that is measured with this draw of labels."""
    return Row(data_set, initialization, None if initialization == "imagenet" else draw)


def wanted(config: Config, request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else those of its tables, else all, since they are one result."""
    there = every_row(config)
    default = [name for name, row in there.items() if NUMBERS[row.data_set] in (request.tables or TABLES)]
    return study_rows.selected(there, request, default)


def result_dir(out: RunDir, row: Row, draw: int, probe: Probe, share: int) -> RunDir:
    """Where the test predictions of a row's features stand, with one draw and share of the labels."""
    return out.row(row.name).row(f"{probe}-{share}-{draw}")


def finished(config: Config, out: RunDir, row: Row) -> bool:
    """Whether a row's features are measured with every share of labels."""
    return all(
        result_dir(out, row, draw, probe, share).predictions.exists()
        for draw in row.draws(config)
        for share in config.shares
        for probe in PROBES
    )


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Row]:
    """The rows that a command runs and that are not finished."""
    return [row for row in wanted(config, request) if not finished(config, out, row)]


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints."""
    return [_status(config, out, row) for row in wanted(config, request)]


def _status(config: Config, out: RunDir, row: Row) -> RowStatus:
    done, epochs = finished(config, out, row), config.optimizer.epochs
    if row.initialization in TRAINED:
        estimate = f"about {duration(60 * epochs * MINUTES_AN_EPOCH[row.data_set])}"
        return study_rows.status(
            out,
            row.name,
            str(NUMBERS[row.data_set]),
            finished=done,
            trained_in=[row.name],
            epochs=epochs,
            estimate=estimate if config.network == PUBLIC.network else "",
        )
    state = "finished" if done else "not begun"
    return RowStatus(row.name, str(NUMBERS[row.data_set]), state, f"about {len(row.draws(config))} min, no training")
