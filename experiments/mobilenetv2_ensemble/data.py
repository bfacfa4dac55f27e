"""From a folder of visits to the parts of every fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.mobilenetv2_ensemble.config import CLASSES, VIEWS, Config
from experiments.mobilenetv2_ensemble.rows import ALL_TYPES, CASES

if TYPE_CHECKING:  # TensorFlow and pandas stay out of --help
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest

Parts = dict[str, "Manifest"]


def read(config: Config, out: RunDir) -> Manifest:
    """The labelled images: drawn, imported from their original layout, or from a manifest made before."""
    from cervix_tf.data import audit, images, importers, manifest

    if config.synthetic_visits:
        from cervix_tf.data.synthetic import visits

        root = out.root / "data"
        if not root.exists():
            visits.write(root, visits=config.synthetic_visits, seed=config.seed, height=240, width=320)
        found = importers.load("cervigram_visits", root)
    elif config.data.manifest is not None:
        found = importers.Imported(manifest.read(config.data.manifest, config.data.root), [], [])
    elif config.data.root is not None:
        found = importers.load(config.layout, config.data.root)
    else:
        raise InputError(
            f"--data.root is missing: give the folder of the {config.layout} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    if not config.synthetic_visits:
        for note in found.notes:
            print(f"note: {note}")
    manifest.check_labels(found.manifest, CLASSES, str(config.data.manifest or found.manifest.root))
    labelled = found.manifest.where(found.manifest.rows["label"].isin(CLASSES))
    images.check_files(labelled.paths())
    if not out.audit.exists():
        found_by_audit = audit.audit(labelled).counts()
        write_json(
            out.audit,
            [{"kind": f"{kind} ({severity})", "count": count} for (severity, kind), count in found_by_audit.items()],
        )
    write_json(out.environment, {**read_json(out.environment), "data_root": str(labelled.root.resolve())})
    return labelled


def complete_cases(everything: Manifest) -> set[str]:
    """The cases that the ensemble can take; says which others there are and why they are left out of tests."""
    from cervix_tf.data import inputs

    cases, left_out = inputs.of_cases(everything, CLASSES, VIEWS)
    for reason, count in left_out.items():
        print(f"note: {count} cases train single views only and are never tested: {reason}")
    return set(cases.rows["id"])


def folds(everything: Manifest, config: Config) -> list[Parts]:
    """train, validation and test of each fold (one, unless cross-validated), group-disjoint; tests of whole cases."""
    from cervix_tf.data import splits

    complete = complete_cases(everything)
    prescribed = "test" in set(everything.rows["split"])
    if config.folds > 1:
        pairs = splits.folds(everything, config.folds, config.seed)
    elif prescribed:
        pairs = [(everything.part("train"), everything.part("test"))]
    else:
        halves = splits.grouped(everything, {"train": 1 - config.test_share, "test": config.test_share}, config.seed)
        pairs = [(halves["train"], halves["test"])]
    found = []
    for train, whole in pairs:
        splits.check_disjoint({"train": train, "test": whole})
        test = whole.where(whole.rows["case"].isin(complete))
        if config.protocol == "as_published":
            found.append({"train": train, "validation": test, "test": test})
        else:
            shares = {"train": 1 - config.validation_share, "validation": config.validation_share}
            found.append({**splits.grouped(train, shares, config.seed), "test": test})
    return found


def keep_manifest(everything: Manifest, parts: Parts, out: RunDir) -> None:
    """Write the manifest as used, each image's part in its `split` column."""
    from cervix_tf.data import manifest

    rows = everything.rows.assign(split="")
    for name in (
        "validation",
        "test",
        "train",
    ):  # as published, validation is the test part: test is what it is
        rows.loc[rows["path"].isin(parts[name].rows["path"]), "split"] = name
    manifest.write(manifest.Manifest(rows, everything.root), out.manifest)


def inputs_of(part: Manifest, images: str) -> Inputs:
    """What a network takes: images of one kind of view, or of all types, or whole cases."""
    from cervix_tf.data import inputs

    if images == CASES:
        return inputs.of_cases(part, CLASSES, VIEWS)[0]
    return inputs.of_images(part, CLASSES, "" if images == ALL_TYPES else images)


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_visits:
        return f"{config.synthetic_visits} synthetic visits"
    return "IARC colposcopy image bank (stand-in)" if config.layout == "iarc_colposcopy" else config.layout
