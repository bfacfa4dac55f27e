"""The images of the study: every data set read and split on its own, then labeled with the classes of a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import audit
from cervix_tf.data.groups import groups_of
from cervix_tf.data.importers import Imported
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.data.views import kind
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import DataDescription, Splits
from experiments.cross_dataset.config import (
    BINARY,
    SHEETS,
    SOURCE,
    TYPES,
    Config,
    DataSet,
    Row,
    Task,
    same_kind,
    usable,
)

Parts = dict[DataSet, Splits]

VIEWS = ("", "acetic")
"""Cells, and photographs after acetic acid, which both banks of photographs have."""


def read(config: Config, out: RunDir) -> Manifest:
    """The labeled images of all data sets, each one's name in the column `site`; near-duplicates are one group.

    Drawn, imported from folders below one root, or from a manifest made before; labels are those of the data sets.

    Raises `InputError` when a folder is missing, a label is of none of them, or a file is broken.
    """

    def draw(root: Path) -> None:
        pap_cells.write(root, cells=config.synthetic_cells, seed=config.seed)

    def importer(root: Path) -> Imported:
        return _imported(config, root)

    found = data.load(config.data, "data sets'", importer, out, draw if config.synthetic_cells else None)
    name = data.name_of(config.data, found.manifest)
    seen = found.manifest.rows["view"].map(kind).isin(VIEWS)
    known = {label: (label,) for sheet in SHEETS.values() for label in sheet.classes}
    labeled = data.labeled(replace(found, manifest=found.manifest.where(seen)), known, name, at_least=1)
    data.check_sets(labeled, config.data_sets, name)
    return audit.group_by_similarity(data.check(labeled, out, config.data.damaged))


def _imported(config: Config, root: Path) -> Imported:
    """The data sets below one root as one manifest."""

    def left(there: list[DataSet]) -> str:
        able = usable(there)
        return " ".join(able if config.main in able or not able else [*able, "--main", able[0]])

    found = data.imported_sets(config.data, config.data_sets, root, left)
    rows = found.manifest.rows
    forgotten = rows["split"].where(rows["site"] != SOURCE, "")  # the source's own splits may hold one woman twice
    return replace(found, manifest=replace(found.manifest, rows=rows.assign(split=forgotten)))


def split(everything: Manifest, config: Config) -> Parts:
    """train, validation and test of each data set; no group is tested on and trained on, of any two data sets either.

    Of a large training split whole groups are left out at random. Balanced by negative and positive, or by MobileODT's
    types; the images keep their labels, so that networks of other classes have the same splits.

    Raises `InputError` when a split lacks a class.
    """
    shares = {"validation": config.validation_share, "test": config.test_share}
    parts = {}
    for name in config.data_sets:
        own = labeled(everything.where(everything.rows["site"] == name), TYPES if name == SOURCE else BINARY)
        if not len(own):
            raise InputError(f"{everything.root}: has no labeled image of {name}; leave it out of --data-sets")
        parts[name] = data.split(own, shares, config.seed, f"{name}: ")
    tested = pd.concat([groups_of(each["test"].rows, "path") for each in parts.values()])
    for name, each in parts.items():
        for part in ("train", "validation"):
            each[part] = each[part].where(~groups_of(each[part].rows, "path").isin(tested))
        each["train"] = subsample(each["train"], config.most_training_images, config.seed)
        data.check_classes(each, (TYPES if name == SOURCE else BINARY).classes, f"{name}: ")
    labels = everything.rows.set_index("path")["label"]
    return {
        name: {
            split: replace(part, rows=part.rows.assign(label=part.rows["path"].map(labels)))
            for split, part in each.items()
        }
        for name, each in parts.items()
    }


def labeled(part: Manifest, task: Task) -> Manifest:
    """The images of a split that have a class in the task, labeled with it."""
    classes = {label: name for name, labels in task.labels.items() for label in labels}
    kept = part.where(part.rows["label"].isin(classes))
    return replace(kept, rows=kept.rows.assign(label=kept.rows["label"].map(classes)))


def of_row(config: Config, row: Row, parts: Parts) -> Parts:
    """The splits of the data sets that a network is tested on, labeled with its classes.

    Raises `InputError` when a split lacks a class.
    """
    found: Parts = {}
    for name in same_kind(config, row):
        found[name] = {split: labeled(part, row.task) for split, part in parts[name].items()}
        data.check_classes(found[name], row.task.classes, f"{name}: ")
    return found


def subsample(part: Manifest, most: int, seed: int) -> Manifest:
    """Whole groups in random order, as far as they have at most so many images together."""
    groups = groups_of(part.rows, "path")
    order = np.random.default_rng(seed).permutation(groups.unique())
    sizes = groups.value_counts()[order].to_numpy()
    return part.where(groups.isin(order[sizes.cumsum() <= most]))


def local_pool(parts: Splits, own: Splits) -> Manifest:
    """The images of a data set that another one's network may be recalibrated on.

    All but those it is tested on and the groups that the network, whose splits are `own`, was trained or chosen on.
    """
    first, second = parts["train"], parts["validation"]
    both = replace(first, rows=pd.concat([first.rows, second.rows], ignore_index=True))
    known = pd.concat([groups_of(own[part].rows, "path") for part in ("train", "validation")])
    return both.where(~groups_of(both.rows, "path").isin(known))


def distance_images(config: Config, parts: Parts) -> int:
    """Of how many images of each domain the distances of these data sets are taken: a distance grows where they are
    fewer, so that all have as many as the smallest split.
    """
    return min(config.distance_images, *(len(each[part]) for each in parts.values() for part in ("train", "test")))


def drawn(part: Manifest, count: int, seed: int) -> Manifest:
    """So many images of a split, at random."""
    chosen = np.random.default_rng(seed).permutation(len(part))[:count]
    return part.where(part.rows.index.to_series().isin(chosen))


def described(config: Config, row: Row, tested: DataSet) -> DataDescription:
    """The test data of a row, for results and contract."""
    text = f"{SHEETS[tested].title}, network of {row.name}"
    if config.synthetic_cells:
        text = (
            f"{config.synthetic_cells} synthetic cells of each class, in the layout of {tested}, network of {row.name}"
        )
    return DataDescription(text, synthetic=bool(config.synthetic_cells), positive=row.task.positive)
