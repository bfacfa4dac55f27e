"""The images of the study: who is tested, who is learned from without labels, and whose labels are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cervix_tf.data import audit, manifest, splits
from cervix_tf.data.groups import groups_of
from cervix_tf.data.importers import Imported
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import Splits
from experiments.label_efficiency.config import SHEETS, Config, DataSet


def read(config: Config, out: RunDir) -> Manifest:
    """The images of all data sets, labeled or not, each one's name in the column `site`; near-duplicates are one group.

    Drawn, imported from folders below one root, or from a manifest made before. Splits of the source are forgotten.

    Raises `InputError` when a folder is missing, a label or data set is none of those, or a file is broken.
    """

    def draw(root: Path) -> None:
        pap_cells.write(root, cells=config.synthetic_cells, seed=config.seed)

    def importer(root: Path) -> Imported:
        return data.imported_sets(config.data, config.data_sets, root)

    found = data.load(config.data, "two data sets'", importer, out, draw if config.synthetic_cells else None).manifest
    name = data.name_of(config.data, found)
    data.check_sets(found, config.data_sets, name)
    for each in config.data_sets:
        manifest.check_labels(of_data_set(found, each), SHEETS[each].classes, f"{name}, {each}")
    sound = data.check(replace(found, rows=found.rows.assign(split="")), out, config.data.damaged)
    return audit.group_by_similarity(sound)


def of_data_set(everything: Manifest, name: DataSet) -> Manifest:
    """The images of one data set."""
    return everything.where(everything.rows["site"] == name)


def split(everything: Manifest, config: Config) -> dict[DataSet, Splits]:
    """train and test of each data set, no group in both; images without a label are in train.

    Those that resemble a test image are left out.

    Raises `InputError` when a class is in one of the splits alone.
    """
    parts = {}
    for name in config.data_sets:
        own = of_data_set(everything, name)
        known = own.rows["label"] != ""
        found = data.split(own.where(known), {"test": config.test_share}, config.seed, f"{name}: ")
        data.check_classes(found, SHEETS[name].classes, f"{name}: ")
        others = own.where(~known)
        apart = ~groups_of(others.rows, "path").isin(groups_of(found["test"].rows, "path"))
        parts[name] = {"train": manifest.joined([found["train"], others.where(apart)]), "test": found["test"]}
    return parts


def labeled(train: Manifest, config: Config, draw: int) -> dict[int, Manifest]:
    """Percent -> the training images whose labels are used, each share within the next, no group in part.

    The draw is the same for all networks, so that their differences are paired.

    Raises `InputError` when a share lacks a class, or has too few labels for the folds of the linear evaluation.
    """
    known = train.where(train.rows["label"] != "")
    ends = sorted({*config.shares, 100})
    steps = {str(end): (end - start) / 100 for start, end in zip([0, *ends[:-1]], ends, strict=True)}
    dealt = splits.grouped(known, steps, draw)
    found = {
        share: manifest.joined([dealt[str(end)] for end in ends if end <= share]) for share in config.shares
    }  # fmt: skip
    classes = set(known.rows["label"])
    data.check_classes({f"{share} % of the labels": part for share, part in found.items()}, classes)
    for share, part in found.items():
        groups, most = len(set(groups_of(part.rows, "path"))), int(part.rows["label"].value_counts().max())
        if min(groups, most) < config.folds:
            raise InputError(
                f"{share} % of the labels (seed {draw}): {groups} groups, at most {most} images of a class, which "
                f"cannot be divided into {config.folds} folds; lower --folds or raise --shares"
            )
    return found
