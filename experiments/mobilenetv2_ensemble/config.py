"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from cervix_tf.config import AdamConfig, Augmentation, Images, Phi, Precision, Protocol, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.ranges import BelowOne, Count, CountOrNone, FileOr, OneOf, Positive, Range, Share
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows

TITLE = "MobileNetV2 Ensemble for Cervical Precancerous Lesions Classification (Processes 2020, 8, 595)"
_SHEET = datasheet.read("cervigram_visits")
CLASSES, POSITIVE = _SHEET.classes, _SHEET.positive  # sec. 3.1: class labels 0 to 3; sec. 4.2: 2 and 3 are outcome 1
VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")  # sec. 3.1
KINDS = ("acetic", "green", "iodine")  # sec. 3.2.3: one network each
BASELINES = ("densenet121", "resnet18", "mobilenet_v2", "resnext101_32x8d", "vgg19")  # sec. 4.1
ALL_TYPES, CASES, ANY_VIEWS = "all-types", "cases", "any-views"
"""What a network may see besides images of one kind: images of every kind, cases of seven images, or cases with the
views that there are."""
ANY_VIEWS_ROW = "ensemble-any-views"
"""Of ours: an ensemble that works with the views that there are."""
PUBLISHED = published.read(__file__)
FORWARD_MS = {row: milliseconds for _, row, (milliseconds,) in PUBLISHED.table_7}


CRITERIA = ("val_accuracy", "val_harmonic_mean_tpr", "val_loss", "accuracy", "harmonic_mean_tpr", "loss")
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Widths of MobileNetV2 that Keras has ImageNet weights of."""
InitialWeights = Annotated[str, FileOr("imagenet", "random")]


@dataclass(frozen=True)
class Network:
    """The MobileNetV2 of one kind of view, tuned as in sec. 3.2.2."""

    alpha: Annotated[float, Range(0, 4, above=True)] = 1.0
    """Width of MobileNetV2 (1: as published)."""
    acetic_maps: Count = 32
    """Feature maps of the last convolution, acetic acid network (sec. 3.3)."""
    green_maps: Count = 64
    """Feature maps of the last convolution, green lens network (sec. 3.3)."""
    iodine_maps: Count = 32
    """Feature maps of the last convolution, iodine network (sec. 3.3)."""
    dropout: BelowOne = 0.7
    """Two-dimensional dropout after the last convolution (sec. 4.1)."""
    mean: Annotated[tuple[float, float, float], Range(0, 1)] = (0.5, 0.5, 0.5)
    """Subtracted from pixels / 255. Table 1's (0.485, 0.456, 0.406) belongs to PyTorch's weights; Keras' want 0.5."""
    std: Annotated[tuple[float, float, float], Range(0, 1, above=True)] = (0.5, 0.5, 0.5)
    """Divides after that. Table 1's (0.229, 0.224, 0.225) belongs to PyTorch's weights; Keras' want 0.5."""


@dataclass(frozen=True)
class Fusion:
    """The inverted residual that reads all seven views (sec. 3.5.3, Table 4)."""

    filters: Count = 32
    """Output feature maps."""
    expansion: Count = 5
    """Inner feature maps: 5 x 256 = 1280."""
    dropout: BelowOne = 0.6
    """After the first and the second convolution."""
    view_dropout: BelowOne = 0.3
    """Probability that the row `ensemble-any-views` trains on a case without one of the kinds of view it has. Ours."""


@dataclass(frozen=True)
class FineTuning:
    """The fusion trained further, trunks still fixed (sec. 3.5.3; Table 6's 83.33 %)."""

    epochs: Count = 50
    """Not stated."""
    learning_rate: Positive = 1e-8
    """Sec. 3.5.3."""
    dropout: BelowOne = 0.2
    """In the fusion, instead of 0.6 (sec. 3.5.3)."""


@dataclass(frozen=True)
class EndToEnd:
    """The ensemble fine-tuned as a whole, trunks too: less accurate, says sec. 5, and prints no number."""

    epochs: Count = 50
    """Not stated."""
    learning_rate: Positive = 1e-4
    """Not stated: that of all other trainings with cross entropy (sec. 3.5.2)."""
    batch_size: Count = 4
    """Cases of seven images per step, all of whose maps are held for the gradient. Not stated."""


@dataclass(frozen=True)
class Imbalance:
    """Training against class imbalance (sec. 3.4; Tables 8, 9 and 10)."""

    weighted_learning_rate: Positive = 1e-5
    """Weighted cross entropy, for every network (sec. 3.5.2)."""
    focal_learning_rate: Positive = 1e-3
    """Focal loss (sec. 3.5.2)."""
    longer: Positive = 2.0
    """Epochs of trainings whose weights are recalculated, relative to plain cross entropy on the same images: they need
    longer training (sec. 3.4.1; how long is not stated). Focal loss and fixed weights have as many as plain cross
    entropy."""
    criterion: Annotated[str, OneOf(*CRITERIA)] = "val_harmonic_mean_tpr"
    """Metric in which the kept checkpoint is best (sec. 3.5.2 and 4.4)."""
    vgg19_phi: Phi = "exp(x)"
    """phi of VGG19 in Table 9, from its caption; exp(100x) did not converge."""
    resnet18_phi: Phi = "exp(100x)"
    """phi of ResNet18 in Table 9, from its caption; sec. 4.4 says exp(x) of ResNet18: the paper contradicts itself."""


@dataclass(frozen=True)
class Baselines:
    """The networks that the tuned MobileNetV2 is compared with (sec. 4.1; Tables 5 and 9)."""

    images: Images = field(default_factory=lambda: Images(height=224, width=298, batch_size=16))
    """As for the view networks: nothing else is said."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=100, learning_rate=1e-4))
    """As for the view networks. Epochs: not stated."""
    vgg19_head: Count = 4096
    """Width of VGG19's two hidden dense layers."""
    densenet121: InitialWeights = "imagenet"
    """Initial weights: imagenet, random, or a file without top (sec. 4.1: all were pre-trained on ImageNet)."""
    resnet18: InitialWeights = "imagenet"
    """Initial weights; Keras has none for ResNet18: give a file converted from torchvision's."""
    mobilenet_v2: InitialWeights = "imagenet"
    """Initial weights of the original MobileNetV2."""
    resnext101_32x8d: InitialWeights = "imagenet"
    """Initial weights; Keras has none: give a file converted from the paper's weakly supervised ones."""
    vgg19: InitialWeights = "imagenet"
    """Initial weights."""


@dataclass(frozen=True)
class Loss:
    """Cross entropy (Eq. 6) unless it says otherwise."""

    focal: float = 0.0
    """gamma of the focal loss (Eq. 8)."""
    population: bool = False
    """Class weights fixed by population (sec. 3.4.1)."""
    phi: Phi | None = None
    """Class weights recomputed each epoch (Eq. 9 and 10)."""

    @property
    def weighted(self) -> bool:
        """Whether it is a weighted cross entropy (Eq. 7)."""
        return self.population or self.phi is not None


PLAIN = Loss()
WEIGHTED = Loss(phi="exp(100x)")  # what sec. 3.4.2 settles on


@dataclass(frozen=True)
class Row:
    """One line's worth of work: a network, in a cross-validation one per fold."""

    name: str
    stage: Literal["network", "checkpoint", "ensemble", "fine_tuning", "end_to_end", "probe", "time"]
    images: str = CASES
    """What it sees: acetic, green or iodine images, images of all types, cases of seven images, or of any views."""
    backbone: str = ""
    """One of `BASELINES`; empty = MobileNetV2 as the paper tunes it."""
    loss: Loss = PLAIN
    needs: tuple[str, ...] = ()
    """Rows that it is made of: the trunks of an ensemble by kind of view, or what a stage goes on from."""


@dataclass(frozen=True)
class Config(StudyConfig):
    """The seven-view MobileNetV2 ensemble: Tables 5 to 10."""

    layout: Annotated[str, OneOf("cervigram_visits", "iarc_colposcopy")] = "cervigram_visits"
    """Original layout of the data root: cervigram_visits (the paper's data) or iarc_colposcopy (public stand-in)."""
    synthetic_visits: CountOrNone = 0
    """Draw this many synthetic visits instead of reading a data root."""
    images: Images = field(default_factory=lambda: Images(height=224, width=298, batch_size=16))
    """Size from Table 1: height 224, width 298. Batch size: not stated."""
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation((0.0, 45.0), (1.0, 2.0), (0.0, 30.0), horizontal_flip=0.5)
    )
    """Table 1: rotation 0 to 45 degrees, scale 100 to 200 %, shear 0 to 30 degrees, flip 50 %."""
    network: Network = field(default_factory=Network)
    fusion: Fusion = field(default_factory=Fusion)
    acetic: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=100, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: "higher than necessary", not stated."""
    green: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=200, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: not stated."""
    iodine: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=200, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: not stated."""
    ensemble: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=100, learning_rate=1e-4))
    """Adam as in sec. 3.5.2, trunks fixed. Epochs: not stated."""
    all_types: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=100, learning_rate=1e-4))
    """The one network trained on all image types (sec. 4.2, Table 6). Epochs: not stated."""
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    end_to_end: EndToEnd = field(default_factory=EndToEnd)
    imbalance: Imbalance = field(default_factory=Imbalance)
    baselines: Baselines = field(default_factory=Baselines)
    timed_passes: Count = 50
    """Forward passes over which a time of Table 7 is measured; always at the published size and width."""
    feature_copies: Count = 1000
    """Augmented copies of the training cases whose trunk features are kept in memory while the fusion is trained, 31 MB
    each at the published size (429 cases), twice that while they are made; epochs take turns with them. With as many as
    there are epochs, or more, none is kept: the fixed trunks run in every epoch, as published."""
    weights: InitialWeights = "imagenet"
    """Initial weights of MobileNetV2 (sec. 3.2.2): imagenet, random, or a .weights.h5 file without top."""
    protocol: Protocol = "leak_free"
    """as_published keeps the checkpoint that is best on the test split (sec. 3.5.2); leak_free, the one that is best on
    part of train."""
    criterion: Annotated[str, OneOf(*CRITERIA)] = "val_accuracy"
    """Metric in which the kept checkpoint is best (sec. 3.5.2: accuracy); val_loss if a split is small."""
    validation_share: Share = 0.15
    """Share of the training groups that leak_free holds out for choosing checkpoints."""
    test_share: Share = 0.2
    """Share of the groups held out for testing if the source prescribes no split."""
    folds: Count = 1
    """More than 1: cross-validation over groups instead of one test split; predictions are pooled."""
    probe: bool = False
    """Also measure a logistic regression on the untouched features of the initial weights, one per kind of view."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder per network (needs TensorBoard, which `make venv` installs)."""
    precision: Precision = "float32"
    """Precision of the arithmetic while single-view networks are trained; bfloat16 takes less time and half the memory
    if the processor has it (AVX512-BF16, AMX, recent GPUs); auto finds out. Testing and exported files use float32."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.weights == "imagenet" and self.network.alpha not in ALPHAS:
            known = ", ".join(map(str, ALPHAS))
            yield "weights", f"there are some for --network.alpha {known}, not {self.network.alpha:g}; give random"

    def images_of(self, row: Row) -> Images:
        """Size and batching of what a row's network takes."""
        if row.stage == "end_to_end":
            return replace(self.images, batch_size=self.end_to_end.batch_size)
        return self.baselines.images if row.backbone else self.images

    def optimizer_of(self, row: Row) -> AdamConfig:
        """How a row is trained: as its images are, at the learning rate of its loss, longer where weights change."""
        if row.stage in ("fine_tuning", "end_to_end"):
            tuning = self.fine_tuning if row.stage == "fine_tuning" else self.end_to_end
            return replace(self.ensemble, epochs=tuning.epochs, learning_rate=tuning.learning_rate)
        if row.stage == "ensemble":
            usual = self.ensemble
        elif row.backbone:
            usual = self.baselines.optimizer
        else:
            usual = self.all_types if row.images == ALL_TYPES else getattr(self, row.images)
        if row.loss == PLAIN:
            return usual
        imbalance = self.imbalance
        rate = imbalance.weighted_learning_rate if row.loss.weighted else imbalance.focal_learning_rate
        longer = imbalance.longer if row.loss.phi else 1.0
        return replace(usual, epochs=max(1, round(longer * usual.epochs)), learning_rate=rate)

    def criterion_of(self, row: Row) -> str:
        """What a row's kept checkpoint is best in."""
        return self.criterion if row.loss == PLAIN else self.imbalance.criterion

    def loss_of(self, row: Row) -> Loss:
        """The row's loss, with phi as the configuration has it where the paper leaves a choice."""
        if row.loss.phi and row.backbone in ("resnet18", "vgg19"):
            return Loss(phi=getattr(self.imbalance, f"{row.backbone}_phi"))
        return row.loss


PAPER = Config(protocol="as_published")

DEMO = Config(
    synthetic_visits=240,
    images=Images(height=96, width=128, batch_size=32, cache="memory"),
    network=Network(alpha=0.35, dropout=0.2),
    fusion=Fusion(expansion=1, dropout=0.3),
    acetic=AdamConfig(epochs=6, learning_rate=2e-3),
    green=AdamConfig(epochs=14, learning_rate=2e-3),
    iodine=AdamConfig(epochs=14, learning_rate=2e-3),
    ensemble=AdamConfig(epochs=8, learning_rate=1e-3),
    all_types=AdamConfig(epochs=4, learning_rate=2e-3),
    fine_tuning=FineTuning(epochs=2),
    end_to_end=EndToEnd(epochs=1, batch_size=8),
    imbalance=Imbalance(weighted_learning_rate=2e-3, focal_learning_rate=2e-3, longer=0.4),
    baselines=Baselines(
        images=Images(height=32, width=43, batch_size=32, cache="memory"),
        optimizer=AdamConfig(epochs=1, learning_rate=1e-3),
        vgg19_head=256,
        **dict.fromkeys(BASELINES, "random"),
    ),
    timed_passes=10,
    feature_copies=4,
    criterion="val_loss",
    weights="random",
)

PUBLIC = Config(
    layout="iarc_colposcopy",
    acetic=AdamConfig(epochs=12, learning_rate=3e-4),
    green=AdamConfig(epochs=16, learning_rate=3e-4),
    iodine=AdamConfig(epochs=16, learning_rate=3e-4),
    ensemble=AdamConfig(epochs=12, learning_rate=1e-4),
    all_types=AdamConfig(epochs=12, learning_rate=3e-4),
    fine_tuning=FineTuning(epochs=2),
    end_to_end=EndToEnd(epochs=2),
    feature_copies=4,
    criterion="val_loss",
    folds=5,
    probe=True,
)

PRESETS = {
    "paper": Preset(PAPER, "as published, on your copy of the IEEE DataPort cervigrams (--data.root)"),
    "demo": Preset(DEMO, "synthetic visits, small networks, minutes on two CPU cores"),
    "public": Preset(PUBLIC, "the IARC colposcopy image bank as a stand-in, cross-validated by case (--data.root)"),
}

_LOSSES = {
    "focal-1": Loss(focal=1), "focal-2": Loss(focal=2), "focal-5": Loss(focal=5), "population": Loss(population=True),
    "x3": Loss(phi="x^3"), "exp": Loss(phi="exp(x)"), "exp10": Loss(phi="exp(10x)"), "exp100": WEIGHTED,
}  # fmt: skip
_ROWS = [
    *(Row(kind, "network", kind) for kind in KINDS),
    Row("ensemble", "ensemble", needs=KINDS),
    *(Row(f"probe-{kind}", "probe", kind) for kind in KINDS),
    Row("ensemble-fine-tuned", "fine_tuning", needs=("ensemble",)),
    Row("ensemble-end-to-end", "end_to_end", needs=("ensemble",)),
    Row(ANY_VIEWS_ROW, "ensemble", ANY_VIEWS, needs=KINDS),
    Row(ALL_TYPES, "network", ALL_TYPES),
    *(Row(f"acetic-{name}", "network", "acetic", loss=loss) for name, loss in _LOSSES.items()),
    *(Row(f"{kind}-exp100", "network", kind, loss=WEIGHTED) for kind in ("green", "iodine")),
    # The iodine trunk is the one of plain cross entropy: it is the better one (sec. 3.4.2, Table 10).
    Row("ensemble-weighted", "ensemble", loss=WEIGHTED, needs=("acetic-exp100", "green-exp100", "iodine")),
    *(Row(name, "network", "acetic", name) for name in BASELINES),
    # Table 9's cross-entropy rows are not Table 5's. Here they are the most balanced checkpoints of the same trainings,
    # which saves five; the paper's are other trainings (README, Departures).
    *(Row(f"{name}-balanced", "checkpoint", "acetic", name, needs=(name,)) for name in BASELINES),
    *(Row(f"{name}-weighted", "network", "acetic", name, loss=WEIGHTED) for name in BASELINES),
    *(Row(f"time-{name}", "time", backbone=name) for name in BASELINES),
    Row("time-tuned", "time", "acetic"),
    Row("time-ensemble", "time"),
]
ROWS = {row.name: row for row in _ROWS}
"""Every row, after the rows that it is made of."""
MAIN_ROW = "ensemble-fine-tuned"
"""The paper's best (abstract; Table 6): what is exported and stands in the run's own folder."""
MAIN = (*KINDS, "ensemble", MAIN_ROW)
TABLES = {
    number: tuple(dict.fromkeys(row for _, row, *_ in getattr(PUBLISHED, f"table_{number}"))) for number in range(5, 11)
}
"""The paper's tables, and the rows that each needs."""


def wanted(config: Config, request: RunRequest) -> list[Row]:
    """The rows to run, in an order in which nothing is missing that a row is made of; else the paper's main model.

    Raises `InputError` for a name that no row has.
    """
    names = {name for table in request.tables for name in TABLES[table]} or set(MAIN)
    if config.probe and (not request.tables or 6 in request.tables):
        names |= {name for name, row in ROWS.items() if row.stage == "probe"}
    return study_rows.selected(ROWS, request, names)


def result_dir(out: RunDir, row: str) -> RunDir:
    """Where a row's predictions and metrics stand: the main row's in the run's own folder."""
    return out if row == MAIN_ROW else out.row(row)


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Row]:
    """The rows that a command runs and that are not finished."""
    return study_rows.unfinished(wanted(config, request), lambda row: result_dir(out, row.name))


def finished(out: RunDir) -> dict[str, dict[str, Any]]:
    """The metrics.json of every row that is finished."""
    return {name: read_json(file) for name in ROWS if (file := result_dir(out, name).metrics).exists()}
