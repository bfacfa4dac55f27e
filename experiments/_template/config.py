"""Every number of the study, with the section of the paper that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from cervix_tf import ranges
from cervix_tf.config import AdamConfig, Augmentation, Images, StudyConfig
from cervix_tf.data import datasheet
from cervix_tf.ranges import CountOrNone, FileOr, Share
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, RunRequest, published
from cervix_tf.study import rows as study_rows
from cervix_tf.study.rows import RowStatus

TITLE = "TODO: title of the paper (journal, year)"
# TODO: the paper's classes; SIPaKMeD's stand here so that the study runs as it is
_SHEET = datasheet.read("sipakmed")
CLASSES, POSITIVE = _SHEET.classes, _SHEET.positive
PUBLISHED = published.read(__file__)
TABLES = (1,)
Network = Literal["small", "mobilenet_v2"]
NETWORKS: tuple[Network, ...] = ("small", "mobilenet_v2")  # TODO: section: the rows of Table 1


@dataclass(frozen=True)
class Config(StudyConfig):
    """TODO: what the paper does, in one sentence: Table 1."""

    synthetic_cells: CountOrNone = 0
    """Draw this many synthetic cells per class instead of reading a data root."""
    main: Network = "mobilenet_v2"
    """The row that runs without --tables and is exported."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights (TODO: section): imagenet, random, or a weights file without top."""
    images: Images = field(default_factory=lambda: Images(height=224, width=224, batch_size=32))
    """TODO: section."""
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(horizontal_flip=0.5))
    """TODO: section."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=30, learning_rate=1e-4))
    """TODO: section."""
    validation_share: Share = 0.2
    """Share of the groups that choose the epoch (not stated)."""
    test_share: Share = 0.2
    """Share of the groups held out (TODO: section)."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        return ranges.nothing_left(self, "validation_share", "test_share")


PRESETS = {
    "paper": Preset(Config(), "TODO: as published, on your copy of SIPaKMeD (--data.root)"),
    "demo": Preset(
        Config(
            synthetic_cells=24,
            main="small",
            weights="random",
            images=Images(height=48, width=48, batch_size=16, cache="memory"),
            optimizer=AdamConfig(epochs=6, learning_rate=3e-3),
        ),
        "synthetic cells in the same layout, a minute on two CPU cores",
    ),
}


def wanted(config: Config, request: RunRequest) -> list[Network]:
    """The rows that a command runs: those it names, else all of Table 1 if it wants that, else the main row."""
    return study_rows.selected(
        {name: name for name in NETWORKS}, request, NETWORKS if request.tables else [config.main]
    )


def result_dir(config: Config, out: RunDir, row: str) -> RunDir:
    """Where a row's predictions and metrics stand: the main row's in the run's own folder."""
    return out if row == config.main else out.row(row)


def unfinished(config: Config, out: RunDir, request: RunRequest) -> list[Network]:
    """The rows that a command runs and that are not finished."""
    return study_rows.unfinished(wanted(config, request), lambda row: result_dir(config, out, row))


def rows(config: Config, out: RunDir, request: RunRequest) -> list[RowStatus]:
    """What `--list` prints."""
    return [
        study_rows.status(
            out,
            row,
            "1 (main model)" if row == config.main else "1",
            finished=result_dir(config, out, row).metrics.exists(),
            trained_in=[row],
            epochs=config.optimizer.epochs,
        )
        for row in wanted(config, RunRequest(TABLES, request.only))
    ]
