"""The images of the study: as each protocol reads and splits them."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from pathlib import Path

from cervix_tf.config import Protocol
from cervix_tf.data import audit, datasheet, images, importers, splits
from cervix_tf.data.importers import Imported
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import cervix_types
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import DataDescription, Splits
from experiments.resnet50_types.config import CLASSES, PROTOCOLS, Config

_USED = ("train", "additional", "")  # Table 1's 8215 images are these two; the first stage's test images are not


def read(config: Config, out: RunDir) -> dict[Protocol, Manifest]:
    """The labeled images of each protocol: drawn, imported, or from a manifest made before; near-duplicates grouped.

    As published, files and labels are those of the class folders. Leak-free, `removed_files.csv` and
    `fixed_labels_v2.csv` are applied where they lie beside the images; a manifest is taken as it is by both.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """

    def draw(root: Path) -> None:
        cervix_types.write(root, women=config.synthetic_women, seed=config.seed)

    labeled = {}
    for protocol in PROTOCOLS:

        def importer(root: Path, corrections: bool = protocol == "leak_free") -> Imported:
            options = data.importer_options(config.data, "mobileodt")
            imported = importers.load("mobileodt", root, replace(options, corrections=corrections))
            notes = imported.notes if corrections else []  # said once
            return replace(imported, manifest=_without_known_bad(imported.manifest), notes=notes)

        imported = data.load(config.data, "MobileODT", importer, out, draw if config.synthetic_women else None)
        used = _used(imported.manifest, said=protocol != PROTOCOLS[0])
        labeled[protocol] = data.labeled(
            replace(imported, manifest=used),
            {name: (name,) for name in CLASSES},
            data.name_of(config.data, used),
            hint="check the class folders, train/train/{0} or additional_{0}_v2/{0}",
        )
    published = data.check(labeled["as_published"], out, config.data.damaged)
    group = audit.group_by_similarity(published).rows.set_index("path")["group"]
    sound = {protocol: each.where(each.rows["path"].isin(group.index)) for protocol, each in labeled.items()}
    return {
        protocol: replace(each, rows=each.rows.assign(group=each.rows["path"].map(group)))
        for protocol, each in sound.items()
    }


def _used(everything: Manifest, said: bool) -> Manifest:
    """The images that the study splits itself; of labeled ones that are left out it prints how many, unless `said`.

    Raises `InputError` where the source has splits of its own, beside the first stage's test images.
    """
    split = everything.rows["split"]
    if own := sorted(set(split) - {*_USED, "test"}):
        raise InputError(
            f"{everything.root}: the column split names {', '.join(own)}, but this study draws its own splits (sec. "
            "3.1, Table 1); empty the column"
        )
    others = int(((split == "test") & (everything.rows["label"] != "")).sum())
    if others and not said:
        print(f"note: {others} labeled images left out: their split is test; empty the column split to use them")
    return everything.where(split.isin(_USED))


def _without_known_bad(everything: Manifest) -> Manifest:
    """The images without those that are broken in the original, according to the data sheet, and here too."""
    patterns = datasheet.read("mobileodt").known_bad
    bad = []
    for path in everything.rows["path"]:
        if any(fnmatch.fnmatchcase(path.casefold(), pattern.casefold()) for pattern in patterns):
            try:
                images.decode_file(everything.root / path)
            except InputError:
                bad.append(path)
    return everything.where(~everything.rows["path"].isin(bad))


def split(everything: Manifest, protocol: Protocol, config: Config) -> Splits:
    """The splits of a protocol: as published at random by class, leak-free with no near-duplicates in two of them.

    train and test, leak_free validation too. Source: sec. 3.1, Table 1 (70:30).
    Raises `InputError` when one lacks a class.
    """
    shares = {"train": 1 - config.test_share, "test": config.test_share}
    if protocol == "as_published":
        parts = splits.random_by_class(everything, shares, config.seed)
    else:
        halves = splits.grouped(everything, shares, config.seed)
        inner = {"train": 1 - config.validation_share, "validation": config.validation_share}
        parts = {**splits.grouped(halves["train"], inner, config.seed), "test": halves["test"]}
        data.check_apart(parts)
    data.check_classes(parts, CLASSES, f"{protocol}: ")
    return parts


def described(config: Config, protocol: Protocol | None = None) -> DataDescription:
    """The data, for results and contract."""
    text = "Intel & MobileODT (Kaggle)"
    if config.synthetic_women:
        text = f"synthetic images of {config.synthetic_women} women"
    return DataDescription(f"{text}, protocol {protocol}" if protocol else text, bool(config.synthetic_women))
