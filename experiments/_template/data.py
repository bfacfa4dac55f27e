"""The images of the study: read, labeled, and split with no group in two splits."""

from __future__ import annotations

from pathlib import Path

from cervix_tf.data.importers import Imported
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import DataDescription, Splits
from experiments._template.config import CLASSES, POSITIVE, Config


def read(config: Config, out: RunDir) -> Manifest:
    """The labeled images: drawn, imported from their original layout, or from a manifest made before.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """

    def draw(root: Path) -> None:
        pap_cells.write(root, cells=config.synthetic_cells, seed=config.seed)

    def importer(root: Path) -> Imported:
        return data.imported(config.data, "sipakmed", root / "sipakmed" if config.synthetic_cells else root)

    label_map = {name: (name,) for name in CLASSES}
    return data.read(config.data, "SIPaKMeD", importer, label_map, out, draw if config.synthetic_cells else None)


def split(everything: Manifest, config: Config) -> Splits:
    """train, validation and test: as the source prescribes them, else drawn by group (TODO: section)."""
    shares = {"validation": config.validation_share, "test": config.test_share}
    parts = data.split(everything, shares, config.seed)
    data.check_classes(parts, CLASSES)
    return parts


def described(config: Config) -> DataDescription:
    """The data, for results and contract."""
    text = f"{config.synthetic_cells} synthetic cells of each class" if config.synthetic_cells else "SIPaKMeD"
    return DataDescription(text, synthetic=bool(config.synthetic_cells), positive=POSITIVE)
