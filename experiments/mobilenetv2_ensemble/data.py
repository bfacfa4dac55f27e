"""The images of the study: from a folder of visits to the splits of every fold, and what each network takes of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from cervix_tf.data import importers, inputs, splits
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import visits
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study import rows as study_rows
from cervix_tf.study.data import DataDescription, Splits
from experiments.mobilenetv2_ensemble.config import ALL_TYPES, CASES, CLASSES, POSITIVE, VIEWS, Config

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

    def inputs(self, split: str, images: str) -> Inputs:
        """What a network that sees `images` takes of a split; where there is no validation, test is that too."""
        return inputs_of(self.splits.get(split, self.splits["test"]), images)


def read(config: Config, out: RunDir) -> Manifest:
    """The labeled images: drawn, imported from their original layout, or from a manifest made before.

    Raises `InputError` when all are of one class, a label is of another data set, or a file is broken.
    """
    drawn = bool(config.synthetic_visits)
    importer = functools.partial(importers.load, _USUAL if drawn else config.layout)
    draw = functools.partial(visits.write, visits=config.synthetic_visits, seed=config.seed, height=240, width=320)
    label_map = {name: (name,) for name in CLASSES}
    return data.read(config.data, config.layout, importer, label_map, out, draw if drawn else None, at_least=2)


def folds_of(everything: Manifest, config: Config, out: RunDir) -> list[Fold]:
    """The folds of the study, with no group in two splits of one; only whole cases are tested. Source: sec. 3.5.2.

    Raises `InputError` when no case is complete, splits share a group, or one would be empty.
    """
    cases, incomplete = inputs.from_cases(everything, CLASSES, VIEWS)
    for reason, count in incomplete.items():
        print(f"note: {count} cases train single views only and are never tested: {reason}")
    leak_free = config.protocol == "leak_free"
    if config.folds > 1:
        pairs = [{"train": train, "test": test} for train, test in splits.folds(everything, config.folds, config.seed)]
    else:
        shares = {"train": 1 - config.test_share, "test": config.test_share}
        usual = [("train", "test"), ("train", "validation", "test")][: 1 + leak_free]
        pairs = [data.prescribed(everything, *usual) or splits.grouped(everything, shares, config.seed)]
    folds = []
    for at, pair in enumerate(pairs):
        splits.check_disjoint(pair)
        whole = pair["test"].rows["case"].isin(cases.rows["id"])
        parts = {**pair, "test": pair["test"].where(whole), "": pair["test"].where(~whole)}
        if leak_free and "validation" not in parts:
            shares = {"train": 1 - config.validation_share, "validation": config.validation_share}
            parts |= splits.grouped(parts["train"], shares, config.seed)
        folds.append(Fold(parts, out, study_rows.fold_prefix(config.folds, at)))
    return folds


def inputs_of(split: Manifest, images: str) -> Inputs:
    """What a network takes: images of one kind of view, or of all types, or whole cases."""
    if images == CASES:
        return inputs.from_cases(split, CLASSES, VIEWS)[0]
    return inputs.from_images(split, CLASSES, "" if images == ALL_TYPES else images)


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    text = "IARC colposcopy image bank (stand-in)" if config.layout == "iarc_colposcopy" else config.layout
    if config.synthetic_visits:
        text = f"{config.synthetic_visits} synthetic visits"
    return DataDescription(text, bool(config.synthetic_visits), config.layout != _USUAL, POSITIVE)
