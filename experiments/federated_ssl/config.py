"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple

from cervix_tf import ranges
from cervix_tf.config import Augmentation, Images, SGDConfig, StudyConfig
from cervix_tf.federated.policy import Policy
from cervix_tf.progress import duration
from cervix_tf.ranges import Count, CountOrNone, Different, FileOr, Positive, Range, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus
from cervix_tf.wording import amount

TITLE = "Deep Cervix Model Development from Heterogeneous and Partially Labeled Image Datasets (Pal, Xue, Antani)"
CLASSES = ("control", "case")
TABLES = (1, 2)
PUBLISHED = published.read(__file__)

Network = Literal["resnet50", "mobilenet_v2", "resnet18", "resnet10_narrow"]
Task = Literal["cervigrams", "iarc"]


class SiteData(NamedTuple):
    """Where the images of a site come from, and how their labels are read."""

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


SITES = {
    "colposcopy": SiteData("iarc_colposcopy", "iarc_colposcopy", ("cin2_3", "cancer"), ("normal", "cin1"), "acetic"),
    # Cases 184 and 185 are the women of the other bank's cases 165 and 167, photographed once, colored differently:
    # here they would be trained on at one site and tested at the other (data_manifests/iarc_colposcopy/datasheet.yaml).
    "via": SiteData(
        "iarc_via", "iarc_via", ("positive", "suspicious"), ("negative",), "acetic", without=("Case 184", "Case 185")
    ),
    "mobileodt": SiteData("mobileodt", "mobileodt", (), (), without=("train",)),
}
"""The sites of the task iarc. The cervigrams come as one table with a column site instead."""

DATA = {
    "cervigrams": "cervigrams",
    "iarc": "IARC colposcopy (CIN2+ against less) and IARC VIA (positive against negative), with MobileODT unlabeled "
    "as a third site (stand-in)",
}


@dataclass(frozen=True)
class Config(StudyConfig):
    """Self-supervised pre-training of a cervix model, centralized and federated: Tables I and II, Fig. 2.

    The paper had two GPUs (sec. III-E).
    """

    task: Task = "cervigrams"
    """Data: cervigrams (the paper: a CSV with path, label, woman, site and perhaps split) or iarc (stand-in)."""
    synthetic_women: CountOrNone = 0
    """Draw cervigrams of this many synthetic women at each of two sites instead of reading a data root."""
    synthetic_labeled: Count = 40
    """How many of a synthetic site's women outside its test split have a label."""
    network: Network = "resnet50"
    """Sec. III-B."""
    weights: Annotated[str, FileOr("imagenet", "drawn")] = "imagenet"
    """Initial weights of the row ImageNet (sec. III-C): imagenet, a weights file without top, or drawn: as a stand-in,
    weights trained to tell drawn textures apart."""
    start: Literal["imagenet", "random"] = "imagenet"
    """Initial weights of self-supervised learning: not stated; sec. III-B removes "the top 1000-way classification
    layer" before it."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=32, supersampling=4))
    """Size and resizing: not stated; cervigrams are large scans. Batch size: that of evaluation."""
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
    """For self-supervised learning; sec. II-C says which changes. Ranges: not stated."""
    views: Literal["image_and_augmented", "two_augmented"] = "image_and_augmented"
    """Sec. II-A: "N random images and an augmented version of them"; SimCLR augments both views."""
    projection: Count = 64
    """Neurons of the dense layer (sec. III-B: 64; 128 and 256 came "very close")."""
    normalize: bool = True
    """Stretch features to length 1 before Eq. 1: not stated; SimCLR does."""
    temperature: Positive = 0.1
    """Sec. III-D."""
    ssl: SGDConfig = field(default_factory=lambda: SGDConfig(50, 0.01, 0.9, 1e-5))
    """SGD with momentum, as sec. III-D's numbers suggest; the paper names no optimizer."""
    batch_sizes: Annotated[tuple[int, ...], Range(2), Different()] = (8, 16, 32)
    """N, images per batch of self-supervised learning (Table II)."""
    federated_batch_size: Annotated[int, Range(2)] = 8
    """N of the federations (sec. IV)."""
    local_epochs: Annotated[tuple[int, ...], Range(1), Different()] = (1, 5, 10)
    """E tried for client-server federation; the first is Table II's (sec. IV: E = 1 is best)."""
    federation: Policy = field(default_factory=Policy)
    """Rounds are for E = 1; at E = 5 there are a fifth of them. Plain averaging: sec. II-B, which does not say that
    clients are weighted. Batch normalization and optimizer: not stated."""
    fine_tuning: SGDConfig = field(default_factory=lambda: SGDConfig(50, 0.001, 0.09, 1e-6))
    """Sec. III-D, momentum 0.09 as printed."""
    fine_tuning_batch: Count = 4
    """Sec. III-D."""
    fine_tuning_augmentation: Augmentation = field(default_factory=Augmentation)
    """None is mentioned in the paper."""
    patience: CountOrNone = 5
    """Epochs without a lower validation loss after which a training ends (sec. III-D); for a federation, rounds with as
    many epochs."""
    validation_share: Share = 0.16
    """Share of the labeled women, if the source prescribes no split (Table I: 66, 16 and 18 %). Unlabeled women are
    divided between train and validation in the same proportion."""
    test_share: Share = 0.18
    """Share of the labeled women, if the source prescribes no split."""
    ids_per_site: bool = False
    """Women's ids are unique only within a site: the same id at two sites means two women. Without this option, that is
    an error."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        yield from ranges.nothing_left(self, "validation_share", "test_share")
        for name, optimizer in (("ssl", self.ssl), ("fine_tuning", self.fine_tuning)):
            if optimizer.cosine:
                yield f"{name}.cosine", "this study's learning rates stay as they are; leave it out"
        if self.federation.local_epochs != Policy.local_epochs:
            yield "federation.local_epochs", "each federation here has a row for its own; give --local-epochs"


PAPER = Config()

DEMO = Config(
    synthetic_women=500,
    synthetic_labeled=34,
    network="resnet10_narrow",
    weights="drawn",
    start="random",
    images=Images(height=64, width=64, batch_size=64, cache="memory"),
    views="two_augmented",
    ssl=SGDConfig(6, 0.05, 0.9, 1e-5),
    federation=Policy(rounds=6),
    local_epochs=(1, 2, 6),
    fine_tuning=SGDConfig(12, 0.005, 0.9, 1e-6),
    fine_tuning_augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
)

PUBLIC = Config(
    task="iarc",
    validation_share=0.2,
    test_share=0.3,
    network="mobilenet_v2",
    images=Images(height=96, width=96, batch_size=64, cache="memory"),
    views="two_augmented",
    ssl=SGDConfig(6, 0.01, 0.9, 1e-5),
    federation=Policy(rounds=6),
    local_epochs=(1,),
    fine_tuning=SGDConfig(10, 0.001, 0.9, 1e-6),
    fine_tuning_augmentation=Augmentation(horizontal_flip=0.5, vertical_flip=0.5),
)

PUBLISHED_SMALL = replace(PUBLIC, network="resnet50", weights="drawn", start="random")

PRESETS = {
    "paper": Preset(PAPER, "as published, on your cervigrams: a CSV with path, label, woman, site in --data.root"),
    "demo": Preset(DEMO, "synthetic cervigrams of two sites, small images, minutes on two CPU cores"),
    "published-small": Preset(
        PUBLISHED_SMALL,
        "ResNet-50 from random weights on the same images as public, 96 x 96 pixels: hours on two cores",
    ),
    "public": Preset(
        PUBLIC,
        "IARC colposcopy and IARC VIA with MobileODT unlabeled as a stand-in (--data.root: their common folder)",
    ),
}


class Row(NamedTuple):
    """One initialization (sec. III-C)."""

    kind: str
    """random, imagenet, ssl (a site's own images), cssl (all sites together), csfssl (client-server), ppfssl (ring)."""
    n: int = 0
    """Images a batch."""
    e: int = 1
    """Local epochs of a federation."""
    start: str = ""
    """Site at which the ring starts."""

    @property
    def name(self) -> str:
        """Of its folders in the run."""
        if self.kind in ("ssl", "cssl"):
            return f"{self.kind}-{self.n}"
        if self.kind == "csfssl" and self.e > 1:
            return f"csfssl-e{self.e}"
        return f"ppfssl-{self.start}" if self.kind == "ppfssl" else self.kind

    @property
    def shared(self) -> bool:
        """Whether one pre-training serves all sites."""
        return self.kind in ("cssl", "csfssl", "ppfssl")

    def pretraining(self, site: str) -> str:
        """Name of the folder of the pre-training whose weights a site's classifier starts from."""
        return f"{self.name}-pretraining" if self.shared else f"{self.name}-pretraining-{site}"

    def classifier(self, site: str) -> str:
        """Name of the folder of a site's classifier."""
        return f"{self.name}-{site}"


def every(config: Config, sites: Sequence[str]) -> list[Row]:
    """All rows, in the order of Table II, then the other local epochs that sec. IV tried."""
    n = config.federated_batch_size
    return [
        Row("random"),
        Row("imagenet"),
        *(Row("ssl", size) for size in config.batch_sizes),
        *(Row("cssl", size) for size in config.batch_sizes),
        Row("csfssl", n, config.local_epochs[0]),
        *(Row("ppfssl", n, config.local_epochs[0], site) for site in sites),
        *(Row("csfssl", n, e) for e in config.local_epochs[1:]),
    ]


def wanted(config: Config, sites: Sequence[str], request: RunRequest) -> list[Row]:
    """The rows that a command runs: those it names, else all if it wants Table II, else CSSL (sec. IV: the best)."""
    available = {row.name: row for row in every(config, sites)}
    main_row = [] if request.tables else [Row("cssl", config.batch_sizes[0]).name]
    return study_rows.selected(available, request, available if 2 in request.tables else main_row)


def expected_sites(config: Config, out: RunDir) -> Sequence[str]:
    """The labeled sites of a run, by its manifest where it has begun, else as they should be."""
    if out.manifest.exists():
        with out.manifest.open(encoding="utf-8", newline="") as file:
            return sorted({line["site"] for line in csv.DictReader(file) if line["label"]})
    if config.task == "cervigrams":
        return sorted(PUBLISHED.sites)
    return sorted(name for name, site in SITES.items() if site.case)


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[str]:
    """Names of the rows that a command runs and that are not finished at every site.

    Those of `--only` are not looked at closely: before the images are read, which sites have rows is not known.
    """
    sites = expected_sites(config, out)
    finished = {
        row.name
        for row in every(config, sites)
        if all(out.row(row.classifier(site)).metrics.exists() for site in sites)
    }
    names = request.only or [row.name for row in wanted(config, sites, request)]
    return [name for name in names if name not in finished]


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints: every row and the state of its trainings at all sites."""
    sites = expected_sites(config, out)
    return [_status(config, out, row, sites) for row in wanted(config, sites, RunRequest((2,), request.only))]


def _status(config: Config, out: RunDir, row: Row, sites: Sequence[str]) -> RowStatus:
    done = [site for site in sites if out.row(row.classifier(site)).metrics.exists()]
    names = {row.pretraining(site) for site in sites} | {row.classifier(site) for site in sites}
    seconds = sum(sum(study_rows.seconds(out.row(name))) for name in names)
    if not seconds:
        return RowStatus(row.name, "2", "not begun", _planned(config, row, len(sites)))
    state = "finished" if done and len(done) == len(sites) else f"{len(done)} of {len(sites)} sites"
    return RowStatus(row.name, "2", state, f"{duration(seconds)} of training so far")


def rounds_at(config: Config, local_epochs: int) -> int:
    """The rounds of a federation whose sites train so many epochs in each: as many passes over the images at any."""
    return max(1, config.federation.rounds // local_epochs)


def _planned(config: Config, row: Row, sites: int) -> str:
    """A row's pre-training and its classifiers, fewer epochs where patience ends them."""
    rounds = f"{amount(rounds_at(config, row.e), 'round')} of {amount(row.e, 'epoch')} + "
    before = {"ssl": f"{sites} x {config.ssl.epochs} + ", "cssl": f"{config.ssl.epochs} + "}
    before |= {"csfssl": rounds, "ppfssl": rounds}
    return f"{before.get(row.kind, '')}{sites} x {config.fine_tuning.epochs} epochs"
