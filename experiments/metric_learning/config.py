"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cervix_tf import ranges
from cervix_tf.config import Augmentation, Images, Precision, SGDConfig, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.errors import InputError
from cervix_tf.ranges import Count, CountOrNone, Different, FileOr, NotNegative, Positive, Range, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "Deep Metric Learning for Cervical Image Classification (IEEE Access 2021, 10.1109/ACCESS.2021.3069346)"
PUBLISHED = published.read(__file__)
METHODS = tuple(PUBLISHED.methods)
METRIC_LEARNING = METHODS[2:]
NEIGHBORS = (1, 3, 5)  # Tables 2, 4 and 5
SPLITS = ("train", "val1", "val2", "test")  # sec. IV-A: train, parameter selection, choice of K, hold-out
TABLES = (1, 2, 3, 4, 5, 6, 7, 8)

Network = Literal["resnet50", "mobilenet", "nasnet_mobile", "mobilenet_v2"]
Task = Literal["cervigrams", "sipakmed", "sipakmed_abnormal", "iarc_via", "iarc_colposcopy"]


class TaskData(NamedTuple):
    """A data set, and how its labels are read as the classes of the study."""

    layout: str
    """Importer of the original layout."""
    label_map: Mapping[str, tuple[str, ...]]
    """Class of the study -> labels in the source; images with another label are left out."""
    positive: tuple[str, ...]
    data: str
    """In words."""
    women: bool
    """A group is a woman, so that her images have one prediction in Tables 7 and 8."""
    view: str = ""
    """Only this kind of view; empty: every image."""


_CERVIGRAMS = {"control": ("control",), "case": ("case",)}
_CELLS = {name: (name,) for name in datasheet.read("sipakmed").classes}
# The data set's authors count Metaplastic cells as benign, neither normal nor abnormal: left out.
_ABNORMAL = {"normal": ("Parabasal", "Superficial-Intermediate"), "abnormal": ("Dyskeratotic", "Koilocytotic")}
_VIA = {"control": ("negative",), "case": ("positive", "suspicious")}
_COLPOSCOPY = {"control": ("normal", "cin1"), "case": ("cin2_3", "cancer")}
TASKS: dict[str, TaskData] = {
    "cervigrams": TaskData("csv", _CERVIGRAMS, ("case",), "cervigrams", women=True),
    "sipakmed": TaskData("sipakmed", _CELLS, (), "SIPaKMeD, five classes (stand-in)", women=False),
    "sipakmed_abnormal": TaskData(
        "sipakmed", _ABNORMAL, ("abnormal",), "SIPaKMeD, normal against abnormal cells (stand-in)", women=False
    ),
    "iarc_via": TaskData(
        "iarc_via",
        _VIA,
        ("case",),
        "IARC VIA image bank, VIA negative against positive (stand-in)",
        women=True,
        view="acetic",
    ),
    "iarc_colposcopy": TaskData(
        "iarc_colposcopy",
        _COLPOSCOPY,
        ("case",),
        "IARC colposcopy image bank, up to CIN1 against CIN2+ (stand-in)",
        women=True,
        view="acetic",
    ),
}
SEC_IV_B = SGDConfig(epochs=50, learning_rate=0.002, momentum=0.9, weight_decay=1e-6)


@dataclass(frozen=True)
class Batches:
    """What a mini-batch of each loss holds."""

    pairs: Count = 8
    """Contrastive: pairs per batch, alternately positive and negative (not stated: sec. III-A reads as one)."""
    n_pairs: Count = 4
    """N-pair: this many times one pair of every class. Sec. III-B: once, which is four images."""
    classes: CountOrNone = 0
    """Batch-hard: classes P per batch; 0 = all (sec. III-C: P = 2 of two)."""
    images: Annotated[int, Range(2)] = 8
    """Batch-hard: images S per class (sec. IV-B)."""
    same_group: bool = False
    """Whether two images of one woman may be a positive pair (not stated)."""
    loss: Literal["step", "batch"] = "step"
    """step: the mean over a batch's pairs, or over its N-pair tuplets, each with its own denominator: a step is as long
    as with the paper's one pair or tuplet (sec. III-A, III-B). batch: summed over the batch, which is one tuplet.
    Batch-hard's batch is the paper's, and summed (Eq. 3)."""
    n_pair_loss: Literal["sum", "mean"] = "sum"
    """How a tuplet's classes are combined: Eq. 2's text says mean; its formula is the sum, twice as much."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.classes == 1:
            yield "classes", "must be 0 (all) or at least 2: one class alone has no negatives"


@dataclass(frozen=True)
class Margins:
    """Parameters of the losses (sec. IV-B)."""

    m_pos: NotNegative = 0.0
    """Contrastive: distance up to which a positive pair adds no loss."""
    m_neg: Positive = 0.25
    """Contrastive: distance from which a negative pair adds no loss."""
    batch_hard: Positive = 0.25
    """Batch-hard: m."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.m_neg <= self.m_pos:
            yield "m_neg", f"must be above --margins.m-pos {self.m_pos:g}"


@dataclass(frozen=True)
class Config(StudyConfig):
    """Deep metric learning with a nearest-neighbor classifier: Tables 1 to 8, Figs. 3 and 4."""

    task: Task = "cervigrams"
    """Data and how labels are read: cervigrams (the paper: a CSV with path, label, woman, age and perhaps split),
    sipakmed (five classes), sipakmed_abnormal, iarc_via or iarc_colposcopy (case and control)."""
    synthetic_women: CountOrNone = 0
    """Draw cervigrams of this many synthetic women instead of reading a data root."""
    second_reader: Path | None = None
    """CSV with columns id, decision: another system's decisions on the hold-out split, for Tables 7 and 8 (the paper:
    Faster R-CNN); if not given, the fine-tuned network's own classification stands in."""
    networks: Annotated[tuple[Network, ...], Different()] = ("resnet50", "mobilenet", "nasnet_mobile")
    """Sec. IV-B."""
    main: Network = "nasnet_mobile"
    """Network of the row that runs without --tables: the paper's best with batch-hard (sec. V-B)."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights (sec. IV-B): imagenet, random, or a weights file without top (for a single network)."""
    start: Literal["weights", "fine_tuned"] = "weights"
    """What the losses start from: the initial weights (sec. IV-B), or the fine-tuned row's network, trained first."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=32, supersampling=4))
    """Size and resizing: not stated; cervigrams are large scans. Batch size: that of the fine-tuned classifier and of
    evaluation."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """None (abstract: "without using any data augmentation")."""
    fine_tuning: SGDConfig = SEC_IV_B
    """For the fine-tuned classifier: not stated, so the same as for metric learning."""
    contrastive: SGDConfig = SEC_IV_B
    """Sec. IV-B: SGD with momentum as its numbers suggest, the paper names no optimizer; the same for all losses."""
    n_pair: SGDConfig = SEC_IV_B
    batch_hard: SGDConfig = SEC_IV_B
    batches: Batches = field(default_factory=Batches)
    tie: Literal["case", "control"] = "case"
    """How to count a woman whose images' mean shares are equal, in Tables 7 and 8 (not stated): with K = 1, every woman
    whose two images disagree."""
    margins: Margins = field(default_factory=Margins)
    val1_share: Share = 0.1
    """Share of the training groups for choosing checkpoints (Table 1's counts are not in our copy)."""
    val2_share: Share = 0.1
    """Share of all groups for choosing K, if the source prescribes none."""
    test_share: Share = 0.2
    """Share of all groups held out, if the source prescribes none."""
    precision: Precision = "float32"
    """Precision of the arithmetic in training (auto: bfloat16 where the hardware supports it); testing and exported
    files use float32."""
    similar: bool = False
    """Put near-duplicates into one group before splitting: for data whose groups are known to leak."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder per network (needs TensorBoard, which `make venv` installs)."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        return ranges.nothing_left(self, "val2_share", "test_share")

    def optimizer(self, method: str) -> SGDConfig:
        """How the networks of a method are trained."""
        return self.fine_tuning if method == "fine_tuned" else getattr(self, method)


PAPER = Config()


def _sgd(epochs: int, learning_rate: float, cosine: bool = False) -> SGDConfig:
    """Momentum and weight decay as published."""
    return replace(SEC_IV_B, epochs=epochs, learning_rate=learning_rate, cosine=cosine)


DEMO = Config(
    synthetic_women=240,
    images=Images(height=64, width=64, batch_size=16, cache="memory"),
    weights="random",
    fine_tuning=_sgd(5, 0.01),
    contrastive=_sgd(5, 0.01),
    n_pair=_sgd(5, 0.01),
    batch_hard=_sgd(5, 0.01),
    batches=Batches(loss="batch"),
    val1_share=0.2,
    val2_share=0.15,
    test_share=0.25,
)

PUBLIC = Config(
    task="sipakmed",
    networks=("mobilenet_v2",),
    main="mobilenet_v2",
    images=Images(height=112, width=112, batch_size=40, cache="memory"),
    augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
    fine_tuning=_sgd(9, 0.01, cosine=True),
    contrastive=_sgd(6, 0.01, cosine=True),
    n_pair=_sgd(10, 0.01, cosine=True),
    batch_hard=_sgd(10, 0.003, cosine=True),
    batches=Batches(pairs=20, n_pairs=4, loss="batch"),
    similar=True,
)

PUBLIC_LONG = replace(
    PUBLIC,
    start="fine_tuned",
    images=replace(PUBLIC.images, height=128, width=128),
    augmentation=Augmentation(
        horizontal_flip=0.5,
        vertical_flip=0.5,
        quarter_turns=True,
        mirror_outside=True,
        scale=(0.85, 1.2),
        shift=(-0.05, 0.05),
        brightness=(0.85, 1.15),
        contrast=(0.85, 1.15),
        saturation=(0.8, 1.2),
    ),
    fine_tuning=_sgd(30, 0.01, cosine=True),
    contrastive=_sgd(15, 0.003, cosine=True),
    n_pair=_sgd(25, 0.003, cosine=True),
    batch_hard=_sgd(25, 0.003, cosine=True),
)
"""What the preset public leaves untried: cells turned and recolored, larger, longer, and losses that start from the
fine-tuned network. Its numbers were set before its first run."""

PUBLISHED_SMALL = replace(
    PUBLIC,
    networks=("resnet50", "nasnet_mobile"),
    main="nasnet_mobile",
    weights="random",
    images=replace(PUBLIC.images, height=80, width=80),
    fine_tuning=_sgd(30, 0.01, cosine=True),
    contrastive=_sgd(20, 0.01, cosine=True),
    n_pair=_sgd(20, 0.01, cosine=True),
    batch_hard=_sgd(20, 0.01, cosine=True),
    precision="auto",
)
"""The paper's networks, whose initial weights are ImageNet's there; from random ones they train longer than those of
the preset public."""

PRESETS = {
    "paper": Preset(PAPER, "as published, on your cervigrams: a CSV with path, label, woman, age in --data.root"),
    "demo": Preset(DEMO, "synthetic cervigrams, small images, minutes on two CPU cores"),
    "published-small": Preset(
        PUBLISHED_SMALL,
        "ResNet-50 and NASNetMobile from random weights on SIPaKMeD's five classes, 80 x 80 pixels: hours on two cores",
    ),
    "public": Preset(PUBLIC, "SIPaKMeD's five classes of cells as a stand-in, split by cluster image (--data.root)"),
    "public-long": Preset(PUBLIC_LONG, "the same with augmentation, from the fine-tuned network: an hour on two cores"),
}


class Row(NamedTuple):
    """One network and the method that its embeddings come from."""

    network: str
    method: str

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return f"{self.network}-{self.method}"

    @property
    def classifier(self) -> str:
        """Of the folder of a fine-tuned network's own classification."""
        return f"{self.network}-classifier"


def every_row(config: Config) -> dict[str, Row]:
    """All rows by name, in the order of the tables."""
    return {(row := Row(network, method)).name: row for network in config.networks for method in METHODS}


def wanted(config: Config, request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else all if it wants tables, else the paper's best.

    Tables 7 and 8 need all rows too, since what they show is the row that is best on val2; Table 1 needs none.

    Raises `InputError` where the paper's best row is of a network that is not trained.
    """
    if not (request.tables or request.only) and config.main not in config.networks:
        raise InputError(
            f"--main {config.main}: is not one of --networks {' '.join(config.networks)}; name one, or ask for "
            "tables (--tables 2)"
        )
    available = every_row(config)
    trained = [name for name in available if set(request.tables) - {1}]
    return study_rows.selected(available, request, trained if request.tables else [main_row(config).name])


def main_row(config: Config) -> Row:
    """The row that runs without --tables (sec. V-B: with NASNet the paper's best)."""
    return Row(config.main, "batch_hard")


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints: every row, the tables that show it, its state and its training time."""
    everything = RunRequest(TABLES, request.only)

    def estimate(row: Row) -> str:
        if config.start == "weights" or row.method not in METRIC_LEARNING:
            return ""
        return f"{config.optimizer(row.method).epochs} epochs after fine-tuning"

    return [
        study_rows.status(
            out,
            row.name,
            f"2 to {max(TABLES)}" + (" (main model)" if row == main_row(config) else ""),
            finished=out.row(row.name).embeddings.exists(),
            trained_in=[row.name],
            epochs=0 if row.method == "pretrained" else config.optimizer(row.method).epochs,
            estimate=estimate(row),
        )
        for row in wanted(config, everything)
    ]
