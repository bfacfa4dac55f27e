"""The images of the study: read, labeled as the task reads them, and in four splits that share no woman."""

from __future__ import annotations

import functools
from pathlib import Path

from cervix_tf.data import audit, inputs, splits
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import cervigrams
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import DataDescription, Splits
from experiments.metric_learning import women
from experiments.metric_learning.config import SPLITS, TASKS, Config


def read(config: Config, out: RunDir) -> Manifest:
    """The images that the study uses, labeled with its classes: drawn, imported, or from a manifest made before.

    Raises `InputError` when there are none, a file is broken, or a class is empty.
    """
    task = TASKS[config.task]

    def draw(root: Path) -> None:
        cervigrams.write(root, women=config.synthetic_women, seed=config.seed)

    return data.read(
        config.data,
        config.task,
        functools.partial(data.imported, config.data, "csv" if config.synthetic_women else task.layout),
        task.label_map,
        out,
        draw if config.synthetic_women else None,
        view=task.view,
        others="leave out",
    )


def split(everything: Manifest, config: Config) -> Splits:
    """train, val1, val2 and test, woman-disjoint; as the source prescribes them where it does.

    A source with train, validation and test has the paper's own three splits: its
    validation is val2, and val1 comes out of its train (sec. IV-A).

    Raises `InputError` when splits share a woman or lack a class, a prescribed split is another one, or a woman of the
    hold-out split has images of two classes.
    """
    parts = data.prescribed(everything, SPLITS, ("train", "validation", "test"))
    if "validation" in parts:
        shares = {"train": 1 - config.val1_share, "val1": config.val1_share}
        parts = {
            **splits.grouped(parts["train"], shares, config.seed),
            "val2": parts["validation"],
            "test": parts["test"],
        }
    elif not parts:
        if config.similar:
            everything = audit.group_by_similarity(everything)
        rest = 1 - config.val2_share - config.test_share
        shares = {
            "train": rest * (1 - config.val1_share),
            "val1": rest * config.val1_share,
            "val2": config.val2_share,
            "test": config.test_share,
        }
        parts = splits.grouped(everything, shares, config.seed)
    data.check_apart(parts)
    data.check_classes(parts, TASKS[config.task].label_map)
    if TASKS[config.task].women:
        women.check(parts["test"])
    return {name: parts[name] for name in SPLITS}


def inputs_of(config: Config, parts: Splits, out: RunDir) -> dict[str, Inputs]:
    """The network inputs of each split; writes the manifest as used."""
    whole = data.keep_manifest(parts, out)
    return {name: inputs.from_images(whole.part(name), tuple(TASKS[config.task].label_map)) for name in SPLITS}


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    task = TASKS[config.task]
    text = f"cervigrams of {config.synthetic_women} synthetic women" if config.synthetic_women else task.data
    return DataDescription(text, bool(config.synthetic_women), config.task != "cervigrams", task.positive)
