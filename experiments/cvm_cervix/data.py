"""The images of the study: read from one or two data sets, labeled with the task's classes, and split."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import audit, importers, inputs, manifest, splits
from cervix_tf.data.importers import Imported, herlev
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import SPLITS, DataDescription, Splits
from experiments.cvm_cervix.config import PUBLISHED, Config


def read(config: Config, out: RunDir) -> Manifest:
    """The images of the task, labeled with its classes: drawn, imported, or from a manifest made before.

    Of the combined data's classes there are no more than Table 1 counts, unless `config.cric_cells` asks for all, or
    the source prescribes its splits.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """
    if config.synthetic_cells and config.task != "combined":
        raise InputError(f"--task {config.task}: synthetic cells are drawn for the combined data only")
    importer = functools.partial(_imported, config)
    draw = functools.partial(pap_cells.write, cells=config.synthetic_cells, seed=config.seed)
    hint = "check the names of the class folders, or choose the --task of these images"
    images = data.read(
        config.data,
        config.task,
        importer,
        config.data_source.label_map,
        out,
        draw if config.synthetic_cells else None,
        hint=hint,
    )
    drawn_from = config.task == "combined" and config.cric_cells == "published" and not config.synthetic_cells
    if not drawn_from or data.prescribed(images, SPLITS):
        return images
    return drawn(images, {name: sum(counts) for name, counts in PUBLISHED.table_1.items()}, config.seed)


def drawn(images: Manifest, counts: Mapping[str, int], seed: int) -> Manifest:
    """At most so many images of each class, drawn at random; all where there are no more."""
    rows = images.rows.sort_values("path", ignore_index=True)
    kept = pd.Series(True, rows.index)
    rng = np.random.default_rng(seed)
    for label, count in counts.items():
        members = rng.permutation(np.flatnonzero(rows["label"] == label))
        kept[members[count:]] = False
    return replace(images, rows=rows).where(kept)


def _imported(config: Config, root: Path) -> Imported:
    """The task's data sets below one root as one manifest."""
    layouts = config.data_source.layouts
    if len(layouts) == 1:
        return data.imported(config.data, layouts[0], root)
    folders = {"sipakmed": config.sipakmed, "cric_crops": config.cric}
    for layout, folder in folders.items():
        if not (root / folder).is_dir():
            raise InputError(
                f"{root}: has no folder {folder!r}; the combined data is {' and '.join(folders.values())} below one "
                f"root: put it there, or name it with --{layout.removesuffix('_crops')}"
            )
    found = {folder: data.imported(config.data, layout, root / folder) for layout, folder in folders.items()}
    return importers.joined(root, found)


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
                f"--folds {config.folds}: the column split prescribes one split; empty it, or leave --folds out"
            )
        folds = [prescribed]
    elif config.folds > 1:
        folds = _cross_validation(images, config)
    elif leak_free:
        folds = [data.split(images, shares, config.seed)]
    elif config.reference_run is not None:
        folds = [split_as(images, RunDir(config.reference_run), config.seed)]
    else:
        folds = [published_split(images, config.validation_share, config.test_share, config.seed)]
    for fold in folds:
        if leak_free and (prescribed or config.folds > 1):  # else `data.split` has checked it
            data.check_apart(fold)
        data.check_classes(fold, config.data_source.classes)
    return folds


def published_split(images: Manifest, validation: float, test: float, seed: int) -> Splits:
    """train, validation and test at random within each class, groups ignored; counts are those of the paper's tables.

    The training split is rounded up; of an odd rest validation gets one more. With
    shares 0.2 and 0.2 that is every count of Tables 1, 4 (before augmentation) and 5.

    Source: sec. 4.1.3 ("we randomly selected 60 % of the images in each class"), Tables 1, 4, 5.
    """
    counts = {}
    for label, count in images.rows["label"].value_counts().items():
        rest = int(count * (validation + test) + 1e-9)  # so that 0.4 of 825 is 330, not 329.99...
        tested = int(rest * test / (validation + test) + 1e-9)
        counts[str(label)] = (count - rest, rest - tested, tested)
    return _at_random(images, counts, seed)


def split_as(images: Manifest, reference: RunDir, seed: int) -> Splits:
    """train, validation and test at random within each class, as many images of each as the reference run has.

    Raises `InputError` when that run is of other images.
    """
    rows = manifest.read(reference.manifest).rows
    if set(rows["path"]) != set(images.rows["path"]):
        raise InputError(
            f"--reference-run {reference.root}: has {len(rows)} images, this run {len(images)}, and they are not the "
            "same ones; make both runs of the same data root with the same options"
        )
    counts = {
        str(label): tuple(int((of_class["split"] == name).sum()) for name in SPLITS)
        for label, of_class in rows.groupby("label")
    }
    return _at_random(images, counts, seed)


def _at_random(images: Manifest, counts: Mapping[str, tuple[int, ...]], seed: int) -> Splits:
    """Splits of so many images of each class."""
    rows = images.rows.sort_values("path", ignore_index=True)
    name = np.empty(len(rows), dtype=object)
    rng = np.random.default_rng(seed)
    for label in sorted(counts):
        members = rng.permutation(np.flatnonzero(rows["label"] == label))
        name[members] = np.repeat(np.array(SPLITS, dtype=object), counts[label])
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


def folds(config: Config, out: RunDir) -> list[Splits]:
    """The splits of each fold, with the manifest of the first kept in the run; all images are there, and masks."""
    found = split(read(config, out), config)
    inputs_of(data.keep_manifest(found[0], out), config)  # every picture's mask, if these are asked for
    return found


def inputs_of(images: Manifest, config: Config) -> Inputs:
    """The network inputs of a split: pictures, or each with its mask.

    Raises `InputError` when a mask is asked for and not there.
    """
    pictures = inputs.from_images(images, config.data_source.classes)
    if not config.masks:
        return pictures
    masks = {picture: herlev.mask_of(Path(picture)) for (picture,) in pictures.files}
    lacking = [picture for picture, mask in masks.items() if mask is None]
    if lacking:
        raise InputError(
            f"--masks: {len(lacking)} of {len(masks)} pictures have no mask beside them, the first is {lacking[0]}, "
            f"whose mask is {Path(lacking[0]).stem}-d.bmp; give the original download, or leave out --masks"
        )
    pairs = tuple((picture, str(masks[picture])) for (picture,) in pictures.files)
    return replace(pictures, files=pairs, views=("picture", "mask"), aligned=True)


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    drawn, source = config.synthetic_cells, config.data_source
    text = f"{drawn} synthetic cells of each of eleven classes" if drawn else source.text
    return DataDescription(text, bool(drawn), positive=source.positive)
