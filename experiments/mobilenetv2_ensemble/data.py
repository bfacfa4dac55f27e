"""The images of the study: from a folder of visits to the splits of every fold, and what each network takes of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cervix_tf.data import datasheet, importers, inputs, splits
from cervix_tf.data import manifest as manifests
from cervix_tf.data.images import decode_file
from cervix_tf.data.importers import Imported
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import visits
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study import rows as study_rows
from cervix_tf.study.data import DataDescription, Splits
from cervix_tf.wording import amount
from experiments.mobilenetv2_ensemble.config import (
    ALL_TYPES,
    ANY_VIEWS,
    ANY_VIEWS_ROW,
    CASES,
    CLASSES,
    POSITIVE,
    VIEWS,
    Config,
)

_NAMED = 3  # visits that a note names
_USUAL = "cervigram_visits"  # the layout of the paper's data, and of the drawn ones


@dataclass(frozen=True)
class Fold:
    """The splits of one fold (the only one, unless cross-validated), and where networks are trained on them."""

    splits: Splits
    """train, test and, leak_free, validation: as published, the test split chooses the checkpoint (sec. 3.5.2).
    Under "" the images of test cases that lack a view."""
    out: RunDir
    prefix: str

    def training_dir(self, row: str) -> RunDir:
        """The folder of a row's training."""
        return self.out.row(self.prefix + row)

    def with_any_views(self) -> Splits:
        """The splits of a network that takes any views: cases that lack some are tested too."""
        kept = {name: part for name, part in self.splits.items() if name}
        return {**kept, "test": manifests.joined([self.splits["test"], self.splits[""]])}

    def inputs(self, split: str, images: str) -> Inputs:
        """What a network that sees `images` takes of a split; where there is no validation, test is that too."""
        parts = self.with_any_views() if images == ANY_VIEWS else self.splits
        return inputs_of(parts.get(split, parts["test"]), images)


def read(config: Config, out: RunDir) -> Manifest:
    """The labeled images: drawn, imported from their original layout, or from a manifest made before.

    Raises `InputError` when all are of one class, a label is of another data set, or a file is broken.
    """
    drawn = bool(config.synthetic_visits)
    layout = _USUAL if drawn else config.layout

    def importer(root: Path) -> Imported:
        return importers.load(layout, root, data.importer_options(config.data, layout))

    draw = functools.partial(visits.write, visits=config.synthetic_visits, seed=config.seed, height=240, width=320)
    label_map = {name: (name,) for name in CLASSES}
    sound = data.read(config.data, config.layout, importer, label_map, out, draw if drawn else None, at_least=2)
    if layout == _USUAL and not drawn and (strange := misordered(sound)):
        print(
            f"note: in {len(strange)} visits, the image through the green lens is not the greenest "
            f"({', '.join(strange[:_NAMED])}{', ...' if len(strange) > _NAMED else ''}): look at them, and use "
            "--data.overrides to give the views of those whose files do not sort as five acetic, green, iodine"
        )
    return sound


def misordered(everything: Manifest) -> list[str]:
    """Visits in which the image through the green lens is not the greenest: its mean green less its mean red.

    A hint at files that do not sort as sec. 3.1 says, which names alone cannot tell.
    """
    rows = everything.rows
    pixels = (decode_file(everything.root / path)[::8, ::8].astype(float) for path in rows["path"])
    green = pd.Series([(image[..., 1] - image[..., 0]).mean() for image in pixels], index=rows.index)
    greenest = rows["view"][green.groupby(rows["case"]).idxmax()]
    return sorted(rows["case"][greenest.index[greenest != "green"]])


def folds_of(everything: Manifest, config: Config, out: RunDir) -> list[Fold]:
    """The folds of the study, with no group in two splits of one; the paper's rows test only whole cases.

    Source: sec. 3.5.2.

    Raises `InputError` when no case is complete, splits share a group, one would be empty, a class is in no training
    image, or the source prescribes none that is to be tested as published.
    """
    cases, incomplete = inputs.from_cases(everything, CLASSES, VIEWS)
    for reason, count in incomplete.items():
        print(f"note: used only by networks of single views and by {ANY_VIEWS_ROW}: {amount(count, 'case')}: {reason}")
    if alone := inputs.without_case(everything, VIEWS):
        print(f"note: used only by networks of single views, for want of a case: {amount(alone, 'image')}")
    leak_free = config.protocol == "leak_free"
    if config.folds > 1:
        pairs = [{"train": train, "test": test} for train, test in splits.folds(everything, config.folds, config.seed)]
    else:
        shares = {"train": 1 - config.test_share, "test": config.test_share}
        usual = [("train", "test"), ("train", "validation", "test")][: 1 + leak_free]
        _check_folders(config, everything, leak_free)
        pairs = [data.prescribed(everything, *usual) or splits.grouped(everything, shares, config.seed)]
    folds = []
    for at, pair in enumerate(pairs):
        whole = pair["test"].rows["case"].isin(cases.rows["id"])
        parts = {**pair, "test": pair["test"].where(whole), "": pair["test"].where(~whole)}
        if leak_free and "validation" not in parts:
            shares = {"train": 1 - config.validation_share, "validation": config.validation_share}
            parts |= splits.grouped(parts["train"], shares, config.seed)
        where = f"fold {at}: " if config.folds > 1 else ""
        data.check_apart({name: part for name, part in parts.items() if name} | {"test": pair["test"]}, where)
        data.check_classes({"train": parts["train"]}, set(everything.rows["label"]), where)
        folds.append(Fold(parts, out, study_rows.fold_prefix(config.folds, at)))
    return folds


def _check_folders(config: Config, everything: Manifest, leak_free: bool) -> None:
    """Raise `InputError` where the split of images is empty that should be one of the source's."""
    empty, name = everything.rows["split"] == "", data.name_of(config.data, everything)
    remedy = "name the folders with --data.train-folder and --data.test-folder"
    if empty.all() and not leak_free:
        raise InputError(
            f"{name}: says of no image whether it is for training or testing, and --protocol as_published tests what "
            f"the source prescribes (sec. 3.1); {remedy}, or draw a test split with --protocol leak_free"
        )
    if empty.any() and not empty.all():
        first = everything.rows["path"][empty].iloc[0]
        raise InputError(f"{name}: {first} and others are in no split; {remedy}, or move these images away")


def inputs_of(split: Manifest, images: str) -> Inputs:
    """What a network takes: images of one kind of view, or of all types, whole cases, or cases of any views."""
    if images == CASES:
        return inputs.from_cases(split, CLASSES, VIEWS)[0]
    if images == ANY_VIEWS:
        return inputs.from_cases(split, CLASSES, VIEWS, missing="black")[0]
    return inputs.from_images(split, CLASSES, "" if images == ALL_TYPES else images)


def is_paper_test_set(config: Config, manifest: pd.DataFrame) -> bool:
    """Whether the splits of a run's manifest have as many images as the paper's: its own, then, as prescribed."""
    if config.synthetic_visits or config.layout != _USUAL or config.folds > 1:
        return False
    counts = manifest["split"].replace("validation", "train").value_counts()
    return counts.to_dict() == dict(datasheet.read(_USUAL).expected.per_split)


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    text = "IARC colposcopy image bank (stand-in)" if config.layout == "iarc_colposcopy" else config.layout
    if config.synthetic_visits:
        text = f"{config.synthetic_visits} synthetic visits"
    return DataDescription(text, bool(config.synthetic_visits), config.layout != _USUAL, POSITIVE)
