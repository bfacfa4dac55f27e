"""The images of the study: read from one or two data sets, labeled with the task's classes, and split."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import audit, importers, inputs, splits
from cervix_tf.data.importers import Imported
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import SPLITS, DataDescription, Splits
from experiments.cvm_cervix.config import Config


def read(config: Config, out: RunDir) -> Manifest:
    """The images of the task, labeled with its classes: drawn, imported, or from a manifest made before.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """
    if config.synthetic_cells and config.task != "combined":
        raise InputError(f"--task {config.task}: synthetic cells are drawn for the combined data only")
    importer = functools.partial(_imported, config)
    draw = functools.partial(pap_cells.write, cells=config.synthetic_cells, seed=config.seed)
    hint = "check the names of the class folders, or choose the --task of these images"
    return data.read(
        config.data,
        config.task,
        importer,
        config.data_source.label_map,
        out,
        draw if config.synthetic_cells else None,
        hint=hint,
    )


def _imported(config: Config, root: Path) -> Imported:
    """The task's data sets below one root as one manifest."""
    layouts = config.data_source.layouts
    if len(layouts) == 1:
        return importers.load(layouts[0], root, data.importer_options(config.data, layouts[0]))
    folders = {"sipakmed": config.sipakmed, "cric_crops": config.cric}
    for layout, folder in folders.items():
        if not (root / folder).is_dir():
            raise InputError(
                f"{root}: has no folder {folder!r}; the combined data is {' and '.join(folders.values())} below one "
                f"root: put it there, or name it with --{layout.removesuffix('_crops')}"
            )
    return importers.joined(
        root,
        {
            folder: importers.load(layout, root / folder, data.importer_options(config.data, layout))
            for layout, folder in folders.items()
        },
    )


def split(images: Manifest, config: Config) -> list[Splits]:
    """train, validation and test of each fold: as the source prescribes them, else by the protocol.

    Raises `InputError` when one lacks a class, or, leak-free, two share a group.
    """
    leak_free = config.protocol == "leak_free"
    if leak_free and config.similar:
        images = audit.group_by_similarity(images)
    shares = {"validation": config.validation_share, "test": config.test_share}
    if prescribed := data.prescribed(images, SPLITS):
        if config.folds > 1:
            raise InputError(
                f"--folds {config.folds}: the column split prescribes one split; empty it, or ask for none"
            )
        folds = [prescribed]
    elif config.folds > 1:
        folds = _cross_validation(images, config)
    elif leak_free:
        folds = [data.split(images, shares, config.seed)]
    else:
        folds = [published_split(images, config.validation_share, config.test_share, config.seed)]
    for fold in folds:
        if leak_free:
            splits.check_disjoint(fold)
        data.check_classes(fold, config.data_source.classes)
    return folds


def published_split(images: Manifest, validation: float, test: float, seed: int) -> Splits:
    """train, validation and test at random within each class, groups ignored; counts are those of the paper's tables.

    The training split is rounded up; of an odd rest validation gets one more. With
    shares 0.2 and 0.2 that is every count of Tables 1, 4 (before augmentation) and 5.

    Source: sec. 4.1.3 ("we randomly selected 60 % of the images in each class"), Tables 1, 4, 5.
    """
    rows = images.rows.sort_values("path", ignore_index=True)
    name = np.empty(len(rows), dtype=object)
    rng = np.random.default_rng(seed)
    for label in sorted(set(rows["label"])):
        members = rng.permutation(np.flatnonzero(rows["label"] == label))
        rest = int(len(members) * (validation + test) + 1e-9)  # so that 0.4 of 825 is 330, not 329.99...
        tested = int(rest * test / (validation + test) + 1e-9)
        counts = (len(members) - rest, rest - tested, tested)
        name[members] = np.repeat(np.array(SPLITS, dtype=object), counts)
    ordered = replace(images, rows=rows)
    return {each: ordered.where(pd.Series(name == each)) for each in SPLITS}


def _cross_validation(images: Manifest, config: Config) -> list[Splits]:
    """Each image in the test split of exactly one fold; validation is a share of all, out of the rest."""
    leak_free = config.protocol == "leak_free"
    drawn = images if leak_free else replace(images, rows=images.rows.assign(group="", case=""))
    share = config.validation_share / (1 - 1 / config.folds)
    split = splits.grouped if leak_free else splits.random_by_class
    folds = []
    for at, (rest, test) in enumerate(splits.folds(drawn, config.folds, config.seed)):
        fold = {**split(rest, {"train": 1 - share, "validation": share}, config.seed + at), "test": test}
        # By path, so that rows keep their groups: intervals resample these under either protocol.
        folds.append({name: images.where(images.rows["path"].isin(fold[name].rows["path"])) for name in SPLITS})
    return folds


def inputs_of(images: Manifest, config: Config) -> Inputs:
    """The network inputs of a split."""
    return inputs.from_images(images, config.data_source.classes)


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    drawn, source = config.synthetic_cells, config.data_source
    text = f"{drawn} synthetic cells of each of eleven classes" if drawn else source.text
    return DataDescription(text, bool(drawn), positive=source.positive)
