"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cervix_tf.config import Augmentation, Images, Optimiser, Precision, Protocol, Source
from cervix_tf.ranges import BelowOne, Count, CountOrNone, Devices, FileOr, OneOf, Seed, Share, Written

TITLE = "CVM-Cervix: CNN, Visual Transformer and MLP for Pap smear cells (Liu et al. 2022)"
CVM = "cvm"
CNN, VT = "xception", "deit_tiny"  # sec. 3.1
COMPARED = (  # Table 3, in its order
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "densenet121",
    "densenet169",
    "inception_v3",
    "xception",
    "alexnet",
    "googlenet",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x0_5",
    "inception_resnet_v1",
    "vit_b16",
    "botnet50",
    "deit_tiny",
    "t2t_vit_14",
)
FOUR_TIMES = "-x4"
"""Ends the name of a row whose training images stand four times in its training set (sec. 4.7.2)."""
TABLES = (1, 3, 4, 5)

Task = Literal["combined", "sipakmed", "herlev", "blood"]


class Reading(NamedTuple):
    """How a task's images are read."""

    layouts: tuple[str, ...]
    """Importers of the original layouts; several: each of its own folder below the data root."""
    classes: dict[str, tuple[str, ...]]
    """Class of the study -> labels in the source."""
    positive: tuple[str, ...]
    """Classes that are read as abnormal."""
    data: str
    """In words."""
    table: int | None
    """The paper's table of the split; None: the paper does not use this data alone."""
    four_times: bool = False
    """Whether the paper's training set stands there four times, augmented."""


_BETHESDA = ("ASC-H", "ASC-US", "SCC", "HSIL", "LSIL", "NILM")
_SIPAKMED = ("Dyskeratotic", "Koilocytotic", "Metaplastic", "Parabasal", "Superficial-Intermediate")
READINGS: dict[str, Reading] = {
    "combined": Reading(
        ("sipakmed", "cric_crops"),
        {name: (name,) for name in (*_BETHESDA, *_SIPAKMED)},  # Table 1's order
        (*_BETHESDA[:5], *_SIPAKMED[:2]),
        "SIPaKMeD and CRIC, eleven classes",
        1,
    ),
    "sipakmed": Reading(
        ("sipakmed",), {name: (name,) for name in _SIPAKMED}, _SIPAKMED[:2], "SIPaKMeD, five classes", None
    ),
    "herlev": Reading(
        ("herlev",),
        {
            "abnormal": ("light_dysplastic", "moderate_dysplastic", "severe_dysplastic", "carcinoma_in_situ"),
            "normal": ("normal_superficiel", "normal_intermediate", "normal_columnar"),
        },
        ("abnormal",),
        "Herlev, abnormal against normal",
        4,
        four_times=True,
    ),
    "blood": Reading(
        ("pbc",),
        {
            name: (name,)
            for name in (
                "basophil",
                "eosinophil",
                "erythroblast",
                "ig",
                "lymphocyte",
                "monocyte",
                "neutrophil",
                "platelet",
            )
        },
        (),
        "peripheral blood cells, eight classes",
        5,
    ),
}


@dataclass(frozen=True)
class Config:
    """CVM-Cervix, a CNN and a visual transformer whose features an MLP joins, and the 22 networks of Table 3."""

    data: Source = field(default_factory=Source)
    """Of the combined data: a folder with one folder each of SIPaKMeD and of CRIC's crops."""
    task: Task = "combined"
    """combined (eleven classes, sec. 4.1), sipakmed (its five alone), herlev (sec. 4.7.3), blood (sec. 4.7.4)."""
    sipakmed: Annotated[str, Written(".+", "the name of a folder")] = "sipakmed"
    """Folder of SIPaKMeD below the data root, for the combined data."""
    cric: Annotated[str, Written(".+", "the name of a folder")] = "cric_crops"
    """Folder of CRIC's crops below the data root, for the combined data."""
    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells a class, of the combined data, instead of reading a data root."""
    main: Annotated[str, OneOf(CVM, *COMPARED)] = CVM
    """The row that runs without --tables and is exported: cvm, or one of the compared networks."""
    weights: Annotated[str, FileOr("random", "imagenet")] = "random"
    """First weights (not stated; sec. 4.7.1's BoTNet suggests random): random, imagenet, or a weights file without
    top (of a single network)."""
    vt_weights: Annotated[str, FileOr("", "random", "imagenet")] = ""
    """First weights of CVM's visual transformer; empty: as `weights`."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=16))
    """Sec. 3.1 and 4.2."""
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(horizontal_flip=0.5))
    """Sec. 3.1."""
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(epochs=100, learning_rate=2e-4, weight_decay=0.01))
    """AdamW, sec. 4.2; weight decay not stated: PyTorch's default."""
    compared_epochs: CountOrNone = 0
    """Epochs of the networks that the main row is compared with; 0: as many as its own (sec. 4.7.1)."""
    cosine: bool = False
    """Let the learning rate fall to nothing over the epochs, along a cosine (the paper: not stated)."""
    label_smoothing: BelowOne = 0.0
    """Share of the truth that is spread over all classes (sec. 5.2: plain cross entropy)."""
    hidden: Count = 2240
    """Width of the MLP's first layer. Not stated; with 2240 the weights take the paper's 120 MB (sec. 4.5)."""
    head_width: Count = 4096
    """Of VGG's and AlexNet's hidden layers, as they were published."""
    protocol: Protocol = "as_published"
    """as_published: at random by class (sec. 4.1.3); leak_free: no cluster image, field or sitting in two parts."""
    folds: Count = 1
    """Parts of a cross-validation; 1: one split."""
    validation_share: Share = 0.2
    """Share of all images for the choice of the epoch (sec. 4.1.3)."""
    test_share: Share = 0.2
    """Share of all images held out (sec. 4.1.3)."""
    similar: bool = False
    """leak_free: also put near-duplicates into one group before splitting."""
    criterion: Annotated[str, OneOf("val_accuracy", "val_loss", "accuracy", "loss")] = "val_accuracy"
    """By which the epoch is chosen (not stated)."""
    test_flips: bool = False
    """Also measure the main row with the mean of four mirrorings of each test image (not in the paper)."""
    beside: Path | None = None
    """A finished run of the other protocol; the difference in accuracy is put in a table."""
    timed_passes: Count = 50
    """Forward passes that are timed (sec. 4.5)."""
    eager: bool = False
    """Train without tracing graphs: quicker only where a large network runs for few steps."""
    precision: Precision = "float32"
    """Of the arithmetic in training (auto: bfloat16 where the hardware has it); what is tested and exported computes in
    float32."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder a network (needs the extra [tensorboard])."""
    seed: Seed = 0
    devices: Devices = "all"
    """all, cpu, or a number: several are mirrored."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        tested = self.test_share if self.folds == 1 else 1 / self.folds
        if self.validation_share + tested >= 1:
            yield "validation_share", f"and {tested:g} to be tested leave nothing to train on; lower one"


PAPER = Config()

DEMO = Config(
    synthetic_cells=40,
    images=Images(height=80, width=80, batch_size=16, cache="memory"),
    augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
    optimiser=Optimiser(epochs=6, learning_rate=1e-3, weight_decay=0.01),
    compared_epochs=1,
    head_width=64,
    protocol="leak_free",
    criterion="val_loss",
    timed_passes=10,
)

PUBLIC = Config(
    task="combined",
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
    optimiser=Optimiser(epochs=16, learning_rate=5e-4, weight_decay=0.01),
    cosine=True,
    label_smoothing=0.1,
    protocol="leak_free",
    validation_share=0.1,
    criterion="val_loss",
    similar=True,
    test_flips=True,
    precision="auto",
)

PRESETS = {"paper": PAPER, "demo": DEMO, "public": PUBLIC}
DESCRIPTIONS = {
    "paper": "as published, on your copies of SIPaKMeD and CRIC (--data.root), Herlev or blood cells (--task)",
    "demo": "synthetic cells in the layouts of SIPaKMeD and CRIC, small images, minutes on two CPU cores",
    "public": "a pre-trained MobileNetV2 on the public data sets, no group in two parts (--data.root, --task)",
}
