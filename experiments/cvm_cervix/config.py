"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cervix_tf.config import AdamConfig, Augmentation, Images, Precision, Protocol, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.data.datasheet import Datasheet
from cervix_tf.errors import InputError
from cervix_tf.ranges import BelowOne, Count, CountOrNone, FileOr, Folder, OneOf, Share, Written
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "CVM-Cervix: CNN, Visual Transformer and MLP for Pap smear cells (Liu et al. 2022)"
CVM, CVM_DISTILLED = "cvm", "cvm_distilled"
"""CVM-Cervix; the latter with the DeiT of the pre-experiments, which has a distillation token (sec. 5.2)."""
CNN, VT, VT_DISTILLED = "xception", "deit_tiny", "deit_tiny_distilled"  # sec. 3.1 and 5.2
MODULES = {CVM: (CNN, VT), CVM_DISTILLED: (CNN, VT_DISTILLED)}
"""Networks that are fused of several backbones."""
PUBLISHED = published.read(__file__)
NAMES = {network: name for name, network, _ in PUBLISHED.table_3}
"""The networks of Table 3, in its order, and their names there."""
COMPARED = tuple(network for network in NAMES if network != CVM)
FOUR_TIMES = "-x4"
"""Ends the name of a row whose training images stand four times in its training set (sec. 4.7.2)."""
SIXTEEN_BITS, FLIPS = "-float16", "-flips"
"""End the names of the main row's folders of further predictions."""
TABLES = (1, 3, 4, 5)

FolderName = Annotated[str, Written(".+", "the name of a folder")]
Task = Literal["combined", "sipakmed", "herlev", "herlev_seven", "blood"]


class DataSource(NamedTuple):
    """The images of a task, and how their labels are read."""

    layouts: tuple[str, ...]
    """Importers of the original layouts; several: each of its own folder below the data root."""
    label_map: Mapping[str, tuple[str, ...]]
    """Class of the study -> labels in the source."""
    positive: tuple[str, ...]
    """Classes that are read as abnormal."""
    text: str
    """The data in words."""
    table: int | None = None
    """The paper's table of the split; None: the paper does not use this data alone."""
    four_times: bool = False
    """Whether the paper's training set stands there four times, augmented."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the study, in the order of the network's outputs."""
        return tuple(self.label_map)


_CRIC, _SIPAKMED, _HERLEV, _BLOOD = map(datasheet.read, ("cric_crops", "sipakmed", "herlev", "pbc"))


def _as_named(*sheets: Datasheet) -> dict[str, tuple[str, ...]]:
    """A label map of classes that have their names in the source."""
    return {name: (name,) for sheet in sheets for name in sheet.classes}


DATA_SOURCES: dict[Task, DataSource] = {
    "combined": DataSource(
        ("sipakmed", "cric_crops"),
        _as_named(_CRIC, _SIPAKMED),  # Table 1's order
        _CRIC.positive + _SIPAKMED.positive,
        "SIPaKMeD and CRIC, eleven classes",
        table=1,
    ),
    "sipakmed": DataSource(("sipakmed",), _as_named(_SIPAKMED), _SIPAKMED.positive, "SIPaKMeD, five classes"),
    "herlev": DataSource(
        ("herlev",),
        {
            "abnormal": ("light_dysplastic", "moderate_dysplastic", "severe_dysplastic", "carcinoma_in_situ"),
            "normal": ("normal_superficiel", "normal_intermediate", "normal_columnar"),
        },
        ("abnormal",),
        "Herlev, abnormal against normal",
        table=4,
        four_times=True,
    ),
    "herlev_seven": DataSource(
        ("herlev",), _as_named(_HERLEV), _HERLEV.positive, "Herlev, seven classes", four_times=True
    ),
    "blood": DataSource(("pbc",), _as_named(_BLOOD), (), "peripheral blood cells, eight classes", table=5),
}


@dataclass(frozen=True)
class Config(StudyConfig):
    """CVM-Cervix, a CNN and a visual transformer whose features an MLP joins, and the 22 networks of Table 3."""

    task: Task = "combined"
    """combined (eleven classes, sec. 4.1), sipakmed (only its five), herlev (sec. 4.7.3), herlev_seven (its seven
    classes, not in the paper), blood (sec. 4.7.4)."""
    sipakmed: FolderName = "sipakmed"
    """Folder of SIPaKMeD below the data root, for the combined data."""
    cric: FolderName = "cric_crops"
    """Folder of CRIC's crops below the data root, for the combined data."""
    cric_cells: Literal["published", "all"] = "published"
    """published: as many cells of each class as Table 1 has, drawn by the seed, or all if there are fewer."""
    herlev: FolderName = "herlev"
    """Folder of Herlev below the data root, if Table 4 is asked for along with another task."""
    blood: FolderName = "pbc"
    """Folder of the blood cells below the data root, if Table 5 is asked for along with another task."""
    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells per class, of the combined data, instead of reading a data root."""
    main: Annotated[str, OneOf(CVM, *COMPARED)] = CVM
    """The row that runs without --tables and is exported: cvm, or one of the compared networks."""
    weights: Annotated[str, FileOr("random", "imagenet")] = "random"
    """Initial weights: random, imagenet, or a weights file without top (for a single network). Not stated: Table 3's
    BoTNet suggests random ones, its ViT and sec. 3.1's "official model" pre-trained ones."""
    weights_folder: Annotated[Path | None, Folder()] = None
    """Folder of initial weights without top, one file per network: `<network>.weights.h5`; for CVM's two modules,
    `xception.weights.h5` and `deit_tiny.weights.h5`. With --weights imagenet, Keras downloads what has no file."""
    vt_weights: Annotated[str, FileOr("", "random", "imagenet")] = ""
    """Initial weights of CVM's visual transformer; empty: same as `weights`."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=16))
    """Sec. 3.1 and 4.2."""
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(horizontal_flip=0.5))
    """Sec. 3.1."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=100, learning_rate=2e-4, weight_decay=0.01))
    """AdamW, sec. 4.2; weight decay not stated: PyTorch's default."""
    compared_epochs: CountOrNone = 0
    """Epochs of the networks that the main row is compared with; 0: as many as the main row has (sec. 4.7.1)."""
    cosine: bool = False
    """Let the learning rate fall to zero over the epochs, along a cosine (the paper: not stated)."""
    label_smoothing: BelowOne = 0.0
    """Share of the truth that is spread over all classes (sec. 5.2: plain cross entropy)."""
    hidden: Count = 2240
    """Width of the MLP's first layer. Not stated; with 2240 the weights take the paper's 120 MB (sec. 4.5)."""
    head_width: Count = 4096
    """Width of VGG's and AlexNet's hidden layers, as they were published."""
    masks: bool = False
    """herlev: also show the network each cell's mask `*-d.bmp`, as three more channels (not in the paper; as Lin et al.
    2019 do). Tried on drawn masks, never on the original ones. Such a network is not exported."""
    protocol: Protocol = "as_published"
    """as_published: at random by class (sec. 4.1.3); leak_free: no cluster image, field or file-name group (Herlev) in
    two splits."""
    folds: Count = 1
    """Folds of a cross-validation; 1: a single split."""
    validation_share: Share = 0.2
    """Share of all images for choosing the epoch (sec. 4.1.3)."""
    test_share: Share = 0.2
    """Share of all images held out (sec. 4.1.3)."""
    similar: bool = False
    """leak_free: also put near-duplicates into one group before splitting."""
    criterion: Annotated[str, OneOf("val_accuracy", "val_loss", "accuracy", "loss")] = "val_accuracy"
    """Metric that chooses the epoch (not stated)."""
    test_time_augmentation: bool = False
    """Also measure the main row with the mean over four mirrored versions of each test image (not in the paper)."""
    reference_run: Path | None = None
    """A finished run of the other protocol with everything else the same; a table shows the difference in accuracy. A
    random split takes as many images of each class for training, validation and test as that run."""
    timed_passes: Count = 50
    """Number of forward passes timed (sec. 4.5)."""
    eager: bool = False
    """Train without tracing graphs: faster only if a large network runs for few steps."""
    precision: Precision = "float32"
    """Precision of the arithmetic in training (auto: bfloat16 where the hardware supports it); testing and exported
    files use float32."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder per network (needs TensorBoard, which `make venv` installs)."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.masks and "herlev" not in self.data_source.layouts:
            yield "masks", "there are masks of Herlev alone; give --task herlev or herlev_seven"
        tested = self.test_share if self.folds == 1 else 1 / self.folds
        if self.validation_share + tested >= 1:
            yield "validation_share", f"and {tested:g} to be tested leave nothing to train on; lower one"

    @property
    def data_source(self) -> DataSource:
        """The images of the task."""
        return DATA_SOURCES[self.task]


PAPER = Config()

DEMO = Config(
    synthetic_cells=40,
    images=Images(height=80, width=80, batch_size=16, cache="memory"),
    augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
    optimizer=AdamConfig(epochs=6, learning_rate=1e-3, weight_decay=0.01),
    compared_epochs=1,
    head_width=64,
    protocol="leak_free",
    criterion="val_loss",
    timed_passes=10,
)

PUBLIC = Config(
    task="combined",
    cric_cells="all",
    main="mobilenet_v2",
    weights="imagenet",
    images=Images(height=160, width=160, batch_size=32, cache="memory"),
    augmentation=Augmentation(
        rotation=(-20.0, 20.0),
        scale=(0.9, 1.2),
        horizontal_flip=0.5,
        quarter_turns=True,
        mirror_outside=True,
        brightness=(0.85, 1.15),
        contrast=(0.85, 1.15),
        saturation=(0.85, 1.15),
    ),
    optimizer=AdamConfig(epochs=16, learning_rate=5e-4, weight_decay=0.01),
    cosine=True,
    label_smoothing=0.1,
    protocol="leak_free",
    validation_share=0.1,
    criterion="val_loss",
    similar=True,
    test_time_augmentation=True,
    precision="auto",
)

PUBLISHED_SMALL = replace(
    PAPER,
    cric_cells="all",
    images=Images(height=80, width=80, batch_size=16, cache="memory"),
    optimizer=replace(PAPER.optimizer, epochs=20),
    protocol="leak_free",
    similar=True,
    precision="auto",
)

PRESETS = {
    "paper": Preset(PAPER, "as published, on your copy of SIPaKMeD and CRIC, or of Herlev or blood cells (--task)"),
    "demo": Preset(DEMO, "synthetic cells in the layouts of SIPaKMeD and CRIC, small images, minutes on two CPU cores"),
    "published-small": Preset(
        PUBLISHED_SMALL,
        "the paper's networks and recipe from random weights, 80 x 80 pixels, 20 epochs: hours on two cores",
    ),
    "public": Preset(PUBLIC, "a pre-trained MobileNetV2 on your copy of the data (--task), no group in two splits"),
}


class Row(NamedTuple):
    """One network, and whether its training images stand four times in its training set."""

    network: str
    four_times: bool = False

    @property
    def name(self) -> str:
        """Of its folder in the run."""
        return self.network + (FOUR_TIMES if self.four_times else "")


PROBE = Row("probe")
"""Not in the paper: a logistic regression on the features that the main row's initial weights give, untrained."""


def main_row(config: Config) -> Row:
    """The row that runs without --tables: CVM-Cervix in the paper, whose Herlev training set is augmented (Table 4)."""
    return Row(config.main, config.data_source.four_times and config.main == CVM)


def all_rows(config: Config) -> list[Row]:
    """All rows, in the order of the tables; the main row first."""
    first = main_row(config)
    # Table 3, Fig. 7, sec. 5.2
    rest = [Row(CVM), *map(Row, COMPARED), Row(CVM, four_times=True), Row(CVM_DISTILLED), PROBE]
    return [first, *(row for row in rest if row != first)]


def tasks(config: Config, request: RunRequest) -> dict[str, tuple[Config, RunRequest]]:
    """Task -> its configuration and what the command wants of it: Tables 1, 4 and 5 are of one data set each.

    The configuration's own task has its images in the data root, others in a folder below it.

    Raises `InputError` where other images are needed than a manifest names, or their folder is missing.
    """
    of_table = {source.table: task for task, source in DATA_SOURCES.items() if source.table}
    others = {number: of_table[number] for number in request.tables if of_table.get(number, config.task) != config.task}
    own = tuple(number for number in request.tables if number not in others)
    found: dict[str, tuple[Config, RunRequest]] = {}
    if own or not request.tables:
        found[config.task] = config, RunRequest(own, request.only)
    for number, task in others.items():
        where = f"--tables {number}: is of other images than --task {config.task}"
        if config.synthetic_cells:
            raise InputError(f"{where}, and synthetic cells are drawn for the combined data only; give --data.root")
        if config.data.root is None or config.data.manifest is not None:
            raise InputError(f"{where}; give a --data.root with a folder of each, or --task {task} and its manifest")
        folder = {"combined": "", "herlev": config.herlev, "blood": config.blood}[task]
        if not (config.data.root / folder).is_dir():
            raise InputError(
                f"{where}: {config.data.root} has no folder {folder!r}; put it there, or name it with --{task}"
            )
        data = replace(config.data, root=config.data.root / folder)
        found[task] = replace(config, task=task, data=data, reference_run=None), RunRequest((number,), request.only)
    return found


def run_of(config: Config, task: str, out: RunDir) -> RunDir:
    """The run of a task that a command runs beside its own: a run of its own, `<run>-<task>`."""
    return out if task == config.task else RunDir(out.root.with_name(f"{out.root.name}-{task}"))


def selected_rows(config: Config, request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else all of Table 3 if it wants that, else the main row."""
    available = {row.name: row for row in all_rows(config)}
    table_3 = (CVM, *COMPARED) if 3 in request.tables else ()
    return study_rows.selected(available, request, [main_row(config).name, *table_3])


def epochs(config: Config, row: Row) -> int:
    """Epochs of a row's training."""
    if row == PROBE:
        return 0
    return config.optimizer.epochs if row.network == config.main else config.compared_epochs or config.optimizer.epochs


def result_dir(config: Config, out: RunDir, row: Row) -> RunDir:
    """Where a row's predictions and metrics stand: the main row's in the run's own folder."""
    return out if row == main_row(config) else out.row(row.name)


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Row]:
    """The rows that a command runs and that are not finished."""
    return study_rows.unfinished(selected_rows(config, request), lambda row: result_dir(config, out, row))


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints: every row, where the paper has it, its state and its training time."""
    found = []
    for task, (each, wanted) in tasks(config, request).items():
        run = run_of(config, task, out)
        for row in selected_rows(each, wanted) if wanted.only or wanted.tables else all_rows(each):
            status = study_rows.status(
                run,
                row.name,
                _tables(each, row),
                finished=result_dir(each, run, row).metrics.exists(),
                trained_in=study_rows.trainings(row.name, each.folds),
                epochs=epochs(each, row),
            )
            found.append(status if task == config.task else status._replace(row=f"{row.name} ({task})"))
    return found


def _tables(config: Config, row: Row) -> str:
    if row == PROBE:
        return "not in the paper"
    if row.network == CVM_DISTILLED:
        return "sec. 5.2"
    return ("Fig. 7" if row.four_times else "3") + (" (main model)" if row == main_row(config) else "")
