"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from cervix_tf.config import Augmentation, Images, Optimiser, Precision, Protocol, Source
from cervix_tf.losses.dynamic_weights import Phi
from cervix_tf.ranges import BelowOne, Count, CountOrNone, Devices, FileOr, OneOf, Positive, Range, Seed, Share

TITLE = "MobileNetV2 Ensemble for Cervical Precancerous Lesions Classification (Processes 2020, 8, 595)"
CLASSES = ("normal", "cin1", "cin2_3", "cancer")  # sec. 3.1: class labels 0 to 3
POSITIVE = ("cin2_3", "cancer")  # sec. 4.2: classes 2 and 3 are outcome 1
VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")  # sec. 3.1
KINDS = ("acetic", "green", "iodine")  # sec. 3.2.3: one network each
TABLES = (5, 6, 7, 8, 9, 10)
CRITERIA = ("val_accuracy", "val_harmonic_mean_tpr", "val_loss", "accuracy", "harmonic_mean_tpr", "loss")

ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Widths of MobileNetV2 that Keras has ImageNet weights of."""
FirstWeights = Annotated[str, FileOr("imagenet", "random")]


@dataclass(frozen=True)
class Network:
    """The MobileNetV2 of one kind of view, tuned as in sec. 3.2.2."""

    alpha: Annotated[float, Range(0, 4, above=True)] = 1.0
    """Width of MobileNetV2 (1: as published)."""
    acetic_maps: Count = 32
    """Maps of the last convolution, acetic acid network (sec. 3.3)."""
    green_maps: Count = 64
    """Maps of the last convolution, green lens network (sec. 3.3)."""
    iodine_maps: Count = 32
    """Maps of the last convolution, iodine network (sec. 3.3)."""
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
    """Maps that come out."""
    expansion: Count = 5
    """Inner maps: 5 x 256 = 1280."""
    dropout: BelowOne = 0.6
    """After the first and the second convolution."""


@dataclass(frozen=True)
class FineTuning:
    """The ensemble trained on as a whole, from where its fusion was trained to (sec. 3.5.3)."""

    epochs: Count = 50
    """Not stated."""
    learning_rate: Positive = 1e-8
    """Sec. 3.5.3."""
    dropout: BelowOne = 0.2
    """In the fusion, instead of 0.6 (sec. 3.5.3)."""
    batch_size: Count = 4
    """Cases of seven images a step, all of whose maps are held for the gradient. Not stated."""


@dataclass(frozen=True)
class Imbalance:
    """Training against class imbalance (sec. 3.4; Tables 8, 9 and 10)."""

    weighted_learning_rate: Positive = 1e-5
    """Weighted cross entropy, whichever network (sec. 3.5.2)."""
    focal_learning_rate: Positive = 1e-3
    """Focal loss (sec. 3.5.2)."""
    longer: Positive = 2.0
    """Epochs of these trainings, in those of plain cross entropy on the same images (sec. 3.4.1: weights that change
    want longer training; how long is not stated)."""
    criterion: Annotated[str, OneOf(*CRITERIA)] = "val_harmonic_mean_tpr"
    """What the kept checkpoint is best in (sec. 3.5.2 and 4.4)."""
    vgg19_phi: Phi = "exp(x)"
    """Of VGG19 in Table 9, by its caption; exp(100x) did not converge."""
    resnet18_phi: Phi = "exp(100x)"
    """Of ResNet18 in Table 9, by its caption; sec. 4.4 says exp(x) of ResNet18: the paper contradicts itself."""


@dataclass(frozen=True)
class Baselines:
    """The networks that the tuned MobileNetV2 is compared with (sec. 4.1; Tables 5 and 9)."""

    images: Images = field(default_factory=lambda: Images(height=224, width=298, batch_size=16))
    """As for the view networks: nothing else is said."""
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(epochs=100, learning_rate=1e-4))
    """As for the view networks. Epochs: not stated."""
    vgg19_head: Count = 4096
    """Width of VGG19's two hidden dense layers."""
    densenet121: FirstWeights = "imagenet"
    """First weights: imagenet, random, or a file without top (sec. 4.1: all were pre-trained on ImageNet)."""
    resnet18: FirstWeights = "imagenet"
    """First weights; Keras offers none for ResNet18: give a file converted from torchvision's."""
    mobilenet_v2: FirstWeights = "imagenet"
    """First weights of the original MobileNetV2."""
    resnext101_32x8d: FirstWeights = "imagenet"
    """First weights; Keras offers none: give a file converted from the paper's weakly supervised ones."""
    vgg19: FirstWeights = "imagenet"
    """First weights."""


@dataclass(frozen=True)
class Config:
    """The seven-view MobileNetV2 ensemble: Tables 5 to 10."""

    data: Source = field(default_factory=Source)
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
    acetic: Optimiser = field(default_factory=lambda: Optimiser(epochs=100, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: "higher than necessary", not stated."""
    green: Optimiser = field(default_factory=lambda: Optimiser(epochs=200, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: not stated."""
    iodine: Optimiser = field(default_factory=lambda: Optimiser(epochs=200, learning_rate=1e-4))
    """Adam as in sec. 3.5.2. Epochs: not stated."""
    ensemble: Optimiser = field(default_factory=lambda: Optimiser(epochs=100, learning_rate=1e-4))
    """Adam as in sec. 3.5.2, trunks fixed. Epochs: not stated."""
    all_types: Optimiser = field(default_factory=lambda: Optimiser(epochs=100, learning_rate=1e-4))
    """The one network trained on all image types (sec. 4.2, Table 6). Epochs: not stated."""
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    imbalance: Imbalance = field(default_factory=Imbalance)
    baselines: Baselines = field(default_factory=Baselines)
    timed_passes: Count = 50
    """Forward passes that a time of Table 7 is taken from; always at the published size and width."""
    feature_copies: Count = 1000
    """Augmented copies of the training cases that the fixed trunks are run on for the ensemble; as many as there are
    ensemble epochs, or more, is the published training; fewer repeat and save time."""
    weights: FirstWeights = "imagenet"
    """First weights of MobileNetV2 (sec. 3.2.2): imagenet, random, or a .weights.h5 file without top."""
    protocol: Protocol = "leak_free"
    """as_published keeps the checkpoint that is best on the test part (sec. 3.5.2); leak_free, on a part of train."""
    criterion: Annotated[str, OneOf(*CRITERIA)] = "val_accuracy"
    """What the kept checkpoint is best in (sec. 3.5.2: accuracy); val_loss where a part is small."""
    validation_share: Share = 0.15
    """Share of the training groups that leak_free holds out for the choice of checkpoints."""
    test_share: Share = 0.2
    """Share of the groups held out for the test where the source prescribes no split."""
    folds: Count = 1
    """More than 1: cross-validation over groups instead of one test part; predictions are pooled."""
    probe: bool = False
    """Also measure a logistic regression on the untouched features of the first weights, one a kind of view."""
    tensorboard: bool = False
    """Also write TensorBoard logs, one folder a network (needs the extra [tensorboard])."""
    seed: Seed = 0
    precision: Precision = "float32"
    """Arithmetic while single-view networks are trained; bfloat16 takes less time and half the memory where the
    processor has it (AVX512-BF16, AMX, recent GPUs), which auto finds out. What is tested and exported computes in
    float32."""
    devices: Devices = "all"
    """all, cpu, or a number: several are mirrored."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        if self.weights == "imagenet" and self.network.alpha not in ALPHAS:
            known = ", ".join(map(str, ALPHAS))
            yield "weights", f"there are some for --network.alpha {known}, not {self.network.alpha:g}; give random"


PAPER = Config(protocol="as_published")

DEMO = Config(
    synthetic_visits=240,
    images=Images(height=96, width=128, batch_size=32, cache="memory"),
    network=Network(alpha=0.35, dropout=0.2),
    fusion=Fusion(dropout=0.3),
    acetic=Optimiser(epochs=10, learning_rate=2e-3),
    green=Optimiser(epochs=24, learning_rate=2e-3),
    iodine=Optimiser(epochs=24, learning_rate=2e-3),
    ensemble=Optimiser(epochs=8, learning_rate=1e-3),
    all_types=Optimiser(epochs=4, learning_rate=2e-3),
    fine_tuning=FineTuning(epochs=1, batch_size=8),
    imbalance=Imbalance(weighted_learning_rate=2e-3, focal_learning_rate=2e-3, longer=0.4),
    baselines=Baselines(
        images=Images(height=32, width=43, batch_size=32, cache="memory"),
        optimiser=Optimiser(epochs=1, learning_rate=1e-3),
        vgg19_head=256,
        **dict.fromkeys(("densenet121", "resnet18", "mobilenet_v2", "resnext101_32x8d", "vgg19"), "random"),
    ),
    timed_passes=10,
    feature_copies=4,
    criterion="val_loss",
    weights="random",
)

PUBLIC = Config(
    layout="iarc_colposcopy",
    acetic=Optimiser(epochs=12, learning_rate=3e-4),
    green=Optimiser(epochs=16, learning_rate=3e-4),
    iodine=Optimiser(epochs=16, learning_rate=3e-4),
    ensemble=Optimiser(epochs=12, learning_rate=1e-4),
    all_types=Optimiser(epochs=12, learning_rate=3e-4),
    fine_tuning=FineTuning(epochs=2),
    feature_copies=4,
    criterion="val_loss",
    folds=5,
    probe=True,
)

PRESETS = {"paper": PAPER, "demo": DEMO, "public": PUBLIC}
DESCRIPTIONS = {
    "paper": "as published, on your copy of the IEEE DataPort cervigrams (--data.root)",
    "demo": "synthetic visits, small networks, minutes on two CPU cores",
    "public": "the IARC colposcopy image bank as a stand-in, cross-validated by case (--data.root)",
}
