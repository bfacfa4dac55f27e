"""The images of the study: read, labelled as the task reads them, and in four parts that share no woman."""

from __future__ import annotations

from dataclasses import replace

from cervix_tf.data import audit, images, importers, manifest, splits
from cervix_tf.data.inputs import kind
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import cervigrams
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.metric_learning.config import PARTS, READINGS, Config, Reading


def read(config: Config, out: RunDir) -> Manifest:
    """The images that the study uses, labelled with its classes: drawn, imported, or from a manifest made before.

    Raises `InputError` when there are none, a file is broken, or labels are unknown.
    """
    reading = READINGS[config.task]
    if config.synthetic_women:
        root = out.root / "data"
        if not root.exists():
            cervigrams.write(root, women=config.synthetic_women, seed=config.seed)
        found = importers.load("csv", root)
    elif config.data.manifest is not None:
        found = importers.Imported(manifest.read(config.data.manifest, config.data.root), [], [])
    elif config.data.root is not None:
        found = importers.load(reading.layout, config.data.root)
    else:
        raise InputError(
            f"--data.root is missing: give the folder of the {config.task} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    for note in found.notes:
        print(f"note: {note}")
    labelled = _labelled(found.manifest, reading, str(config.data.manifest or found.manifest.root))
    images.check_files(labelled.paths())
    if not out.audit.exists():
        counts = audit.audit(labelled).counts()
        write_json(out.audit, [{"kind": f"{kind} ({how})", "count": count} for (how, kind), count in counts.items()])
    write_json(out.environment, {**read_json(out.environment), "data_root": str(labelled.root.resolve())})
    return labelled


def _labelled(everything: Manifest, reading: Reading, name: str) -> Manifest:
    """The rows with a label that the task reads, and of the view it looks at."""
    classes = {label: each for each, labels in reading.classes.items() for label in labels}
    rows = everything.rows
    chosen = everything.where(rows["view"].map(kind) == reading.view) if reading.view else everything
    known = chosen.rows["label"].isin(classes)
    labels = ", ".join(classes)
    if not known.any():
        there = ", ".join(sorted(set(rows["label"]) - {""})[:8]) or "none"
        raise InputError(f"{name}: no image has one of the labels {labels}; the labels there are {there}")
    if left := int((~known).sum()):
        print(f"note: {left} images left out: their label is none of {labels}")
    found = chosen.where(known)
    found = replace(found, rows=found.rows.assign(label=found.rows["label"].map(classes)))
    manifest.check_labels(found, tuple(reading.classes), name)
    return found


def parts_of(everything: Manifest, config: Config) -> dict[str, Manifest]:
    """train, val1, val2 and test, woman-disjoint; as the source prescribes them where it does.

    A source with train, validation and test has the paper's own three parts: its
    validation is val2, and val1 comes out of its train (sec. IV-A).

    Raises `InputError` when parts share a woman, or a prescribed split is another one.
    """
    there = set(everything.rows["split"]) - {""}
    if config.similar and not there:
        everything = audit.group_by_similarity(everything)
    if there == set(PARTS):
        parts = {name: everything.part(name) for name in PARTS}
    elif there == {"train", "validation", "test"}:
        shares = {"train": 1 - config.val1_share, "val1": config.val1_share}
        parts = splits.grouped(everything.part("train"), shares, config.seed)
        parts |= {"val2": everything.part("validation"), "test": everything.part("test")}
    elif there:
        raise InputError(
            f"the column split names {', '.join(sorted(there))}; give {', '.join(PARTS)}, or train, validation, test, "
            "or leave it empty"
        )
    else:
        rest = 1 - config.val2_share - config.test_share
        shares = {
            "train": rest * (1 - config.val1_share),
            "val1": rest * config.val1_share,
            "val2": config.val2_share,
            "test": config.test_share,
        }
        parts = splits.grouped(everything, shares, config.seed)
    splits.check_disjoint(parts)
    for name, part in parts.items():
        lacking = set(READINGS[config.task].classes) - set(part.rows["label"])
        if lacking:
            raise InputError(f"part {name} ({len(part)} images) has no {sorted(lacking)[0]}; ask for larger parts")
    return {name: parts[name] for name in PARTS}
