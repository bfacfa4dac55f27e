"""The images of the study: read from one or two data sets, labelled with the task's classes, and split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import audit, images, importers, inputs, manifest, splits
from cervix_tf.data.importers import Imported
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.cvm_cervix.config import READINGS, Config

PARTS = ("train", "validation", "test")
Parts = dict[str, Manifest]
_NAMED = 3  # files that an error names


def read(config: Config, out: RunDir) -> Manifest:
    """The images of the task, labelled with its classes: drawn, imported, or from a manifest made before.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """
    if config.synthetic_cells:
        if config.task != "combined":
            raise InputError(f"--task {config.task}: synthetic cells are drawn for the combined data only")
        root = out.root / "data"
        if not root.exists():
            pap_cells.write(root, cells=config.synthetic_cells, seed=config.seed)
        found = _imported(config, root)
    elif config.data.manifest is not None:
        found = Imported(manifest.read(config.data.manifest, config.data.root), [], [])
    elif config.data.root is not None:
        found = _imported(config, config.data.root)
    else:
        raise InputError(
            f"--data.root is missing: give the folder of the {config.task} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    for note in () if config.synthetic_cells else found.notes:  # of how many cells the original has
        print(f"note: {note}")
    labelled = _labelled(config, found, str(config.data.manifest or found.manifest.root))
    images.check_files(labelled.paths())
    if not out.audit.exists():
        counts = audit.audit(labelled).counts()
        write_json(out.audit, [{"kind": f"{kind} ({how})", "count": count} for (how, kind), count in counts.items()])
    write_json(out.environment, {**read_json(out.environment), "data_root": str(labelled.root.resolve())})
    return labelled


def _imported(config: Config, root: Path) -> Imported:
    """The task's data sets below one root as one manifest."""
    layouts = READINGS[config.task].layouts
    if len(layouts) == 1:
        return importers.load(layouts[0], root)
    folders = {"sipakmed": config.sipakmed, "cric_crops": config.cric}
    whole, left_out, notes = [], [], []
    for layout in layouts:
        folder = folders[layout]
        if not (root / folder).is_dir():
            option = "sipakmed" if layout == "sipakmed" else "cric"
            raise InputError(
                f"{root}: has no folder {folder!r}; the combined data is {' and '.join(folders.values())} below one "
                f"root: put it there, or name it with --{option}"
            )
        found = importers.load(layout, root / folder)
        rows = found.manifest.rows
        rows = rows.assign(path=folder + "/" + rows["path"], group=folder + "/" + rows["group"])
        whole.append(replace(found.manifest, rows=rows, root=root))
        left_out += [(f"{folder}/{file}", reason) for file, reason in found.left_out]
        notes += found.notes
    return Imported(manifest.joined(whole), left_out, notes)


def _labelled(config: Config, found: Imported, name: str) -> Manifest:
    """The labelled rows, with the task's classes as labels; every class has some."""
    reading = READINGS[config.task]
    classes = {label: each for each, labels in reading.classes.items() for label in labels}
    rows = found.manifest.rows
    strange = rows[(rows["label"] != "") & ~rows["label"].isin(classes)]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(
            f"{name}: {first['path']}: label {first['label']!r} is none of the {config.task} task's "
            f"({', '.join(classes)}); {len(strange)} such rows: is this another data set's manifest, or a mixture? "
            "Take these rows out, or choose their --task"
        )
    if unlabelled := int((rows["label"] == "").sum()):
        print(f"note: {unlabelled} images left out: they have no label")
    kept = found.manifest.where(rows["label"] != "")
    kept = replace(kept, rows=kept.rows.assign(label=kept.rows["label"].map(classes)))
    counts = kept.rows["label"].value_counts()
    if empty := [each for each in reading.classes if not counts.get(each)]:
        passed = "; ".join(f"{file}: {reason}" for file, reason in found.left_out[:_NAMED])
        raise InputError(
            f"{name}: no image of class {empty[0]} ({len(empty)} of {len(reading.classes)} classes are empty); its "
            f"label in the source is {' or '.join(reading.classes[empty[0]])}: check the names of the class folders"
            + (f". {len(found.left_out)} images were left out: {passed}" if passed else "")
        )
    return kept


def folds_of(everything: Manifest, config: Config) -> list[Parts]:
    """train, validation and test of each fold: as the source prescribes them, else by the protocol.

    Raises `InputError` when a part lacks a class, or, leak-free, parts share a group.
    """
    free = config.protocol == "leak_free"
    if free and config.similar:
        everything = audit.group_by_similarity(everything)
    there = set(everything.rows["split"]) - {""}
    if there:
        if there != set(PARTS):
            raise InputError(f"the column split names {', '.join(sorted(there))}; give {', '.join(PARTS)}, or nothing")
        folds = [{name: everything.part(name) for name in PARTS}]
    elif config.folds > 1:
        folds = _cross_validation(everything, config)
    elif free:
        shares = {"train": 1 - config.validation_share - config.test_share}
        shares |= {"validation": config.validation_share, "test": config.test_share}
        folds = [splits.grouped(everything, shares, config.seed)]
    else:
        folds = [published_split(everything, config.validation_share, config.test_share, config.seed)]
    for parts in folds:
        if free:
            splits.check_disjoint(parts)
        for name, part in parts.items():
            if lacking := set(READINGS[config.task].classes) - set(part.rows["label"]):
                raise InputError(f"part {name} ({len(part)} images) has no {sorted(lacking)[0]}; ask for larger parts")
    return folds


def published_split(everything: Manifest, validation: float, test: float, seed: int) -> Parts:
    """train, validation and test at random within each class, groups ignored; counts are those of the paper's tables.

    The training part is rounded up, of an odd rest validation gets the one more. With
    shares 0.2 and 0.2 that is every count of Tables 1, 4 (before augmentation) and 5.

    Source: sec. 4.1.3 ("we randomly selected 60 % of the images in each class"), Tables 1, 4, 5.
    """
    rows = everything.rows.sort_values("path", ignore_index=True)
    part = np.empty(len(rows), dtype=object)
    rng = np.random.default_rng(seed)
    for label in sorted(set(rows["label"])):
        members = rng.permutation(np.flatnonzero(rows["label"] == label))
        rest = int(len(members) * (validation + test) + 1e-9)  # so that 0.4 of 825 is 330, not 329.99...
        tested = int(rest * test / (validation + test) + 1e-9)
        counts = (len(members) - rest, rest - tested, tested)
        part[members] = np.repeat(np.array(PARTS, dtype=object), counts)
    ordered = replace(everything, rows=rows)
    return {name: ordered.where(pd.Series(part == name)) for name in PARTS}


def _cross_validation(everything: Manifest, config: Config) -> list[Parts]:
    """Each image in the test part of exactly one fold; validation is a share of all, out of the rest."""
    free = config.protocol == "leak_free"
    drawn = everything if free else replace(everything, rows=everything.rows.assign(group="", case=""))
    folds = []
    for at, (rest, tested) in enumerate(splits.folds(drawn, config.folds, config.seed)):
        share = config.validation_share / (1 - 1 / config.folds)
        split = splits.grouped if free else splits.random_by_class
        parts = split(rest, {"train": 1 - share, "validation": share}, config.seed + at) | {"test": tested}
        # By path, so that rows keep their groups: intervals resample these under either protocol.
        folds.append({name: everything.where(everything.rows["path"].isin(parts[name].rows["path"])) for name in PARTS})
    return folds


def keep_manifest(folds: list[Parts], out: RunDir) -> None:
    """Write the manifest as used, its `split` column that of the first fold."""
    manifest.write(splits.with_split_column(folds[0]), out.manifest)


def inputs_of(part: Manifest, config: Config) -> Inputs:
    """The network inputs of a part."""
    return inputs.of_images(part, tuple(READINGS[config.task].classes))


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_cells:
        return f"{config.synthetic_cells} synthetic cells of each of eleven classes"
    return READINGS[config.task].data
