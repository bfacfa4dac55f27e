"""The images of the study: as each protocol reads and splits them."""

from __future__ import annotations

import fnmatch
from dataclasses import replace

from cervix_tf.config import Protocol
from cervix_tf.data import audit, datasheet, images, importers, inputs, manifest, splits
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import cervix_types
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.resnet50_types.config import CLASSES, PROTOCOLS, Config

Parts = dict[str, Manifest]
"""train and test, leak_free validation too."""
_USED = ("train", "additional", "")  # Table 1's 8215 images are these two; the first stage's test images are not


def read(config: Config, out: RunDir) -> dict[Protocol, Manifest]:
    """The labelled images of each protocol: drawn, imported, or from a manifest made before; near-duplicates grouped.

    As published, files and labels are those of the class folders. Leak-free, `removed_files.csv` and
    `fixed_labels_v2.csv` are applied where they lie beside the images; a manifest is taken as it is by both.

    Raises `InputError` when a class is empty, a label is of another data set, or a file is broken.
    """
    name = config.data.manifest or config.data.root
    if config.synthetic_women:
        name = out.root / "data"
        if not name.exists():
            cervix_types.write(name, women=config.synthetic_women, seed=config.seed)
    if name is None:
        raise InputError(
            "--data.root is missing: give the folder of the MobileODT images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    found = {protocol: _labelled(_loaded(config, protocol, out), str(name)) for protocol in PROTOCOLS}
    published = found["as_published"]
    images.check_files(published.paths())
    if not out.audit.exists():
        counts = audit.audit(published).counts()
        write_json(out.audit, [{"kind": f"{kind} ({how})", "count": count} for (how, kind), count in counts.items()])
    write_json(out.environment, {**read_json(out.environment), "data_root": str(published.root.resolve())})
    grouped = audit.group_by_similarity(published).rows.set_index("path")["group"]
    return {
        protocol: replace(each, rows=each.rows.assign(group=each.rows["path"].map(grouped)))
        for protocol, each in found.items()
    }


def _loaded(config: Config, protocol: Protocol, out: RunDir) -> Manifest:
    """All images that a protocol may use, broken ones of the original left out."""
    if config.data.manifest is not None and not config.synthetic_women:
        return manifest.read(config.data.manifest, config.data.root)
    root = out.root / "data" if config.synthetic_women else config.data.root
    assert root is not None
    corrected = protocol == "leak_free"
    found = importers.load("mobileodt", root, importers.Options(corrections=corrected))
    if corrected and not config.synthetic_women:
        for note in found.notes:
            print(f"note: {note}")
    return _without_known_bad(found.manifest)


def _without_known_bad(everything: Manifest) -> Manifest:
    """The images without those that are broken in the original, according to the data sheet, and here too."""
    patterns = datasheet.read("mobileodt").known_bad
    bad = []
    for path in everything.rows["path"]:
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            try:
                images.decode_file(everything.root / path)
            except InputError:
                bad.append(path)
    return everything.where(~everything.rows["path"].isin(bad))


def _labelled(everything: Manifest, name: str) -> Manifest:
    """The labelled images of train and additional; every class has some."""
    rows = everything.rows
    strange = rows[(rows["label"] != "") & ~rows["label"].isin(CLASSES)]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(
            f"{name}: {first['path']}: label {first['label']!r} is none of {', '.join(CLASSES)}; {len(strange)} such "
            "rows: is this another data set's manifest, or a mixture? Take these rows out, or rename their labels"
        )
    kept = everything.where((rows["label"] != "") & rows["split"].isin(_USED))
    counts = kept.rows["label"].value_counts()
    if empty := [each for each in CLASSES if not counts.get(each)]:
        raise InputError(
            f"{name}: no image of class {empty[0]} among {len(kept)} labelled ones ({len(empty)} of {len(CLASSES)} "
            f"classes are empty): check the class folders, train/train/{empty[0]} or "
            f"additional_{empty[0]}_v2/{empty[0]}"
        )
    return kept


def parts_of(everything: Manifest, protocol: Protocol, config: Config) -> Parts:
    """The parts of a protocol: as published at random by class, leak-free with no near-duplicates in two parts.

    Source: sec. 3.1, Table 1 (70:30).
    Raises `InputError` when a part lacks a class.
    """
    shares = {"train": 1 - config.test_share, "test": config.test_share}
    if protocol == "as_published":
        parts = splits.random_by_class(everything, shares, config.seed)
    else:
        halves = splits.grouped(everything, shares, config.seed)
        inner = {"train": 1 - config.validation_share, "validation": config.validation_share}
        parts = {**splits.grouped(halves["train"], inner, config.seed), "test": halves["test"]}
        splits.check_disjoint(parts)
    for name, part in parts.items():
        if lacking := [each for each in CLASSES if each not in set(part.rows["label"])]:
            raise InputError(
                f"{protocol}: part {name} ({len(part)} images) has no {lacking[0]}; add images or ask for larger shares"
            )
    return parts


def inputs_of(part: Manifest) -> Inputs:
    """The network inputs of a part."""
    return inputs.of_images(part, CLASSES)


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_women:
        return f"synthetic images of {config.synthetic_women} women"
    return "Intel & MobileODT (Kaggle)"
