"""The images of the study: every site's, labelled by its own criteria or not at all, in parts that share no woman."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cervix_tf.data import audit, images, importers, manifest, splits
from cervix_tf.data.inputs import kind
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import two_sites
from cervix_tf.errors import InputError
from cervix_tf.federated import partition
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.federated_ssl.config import CLASSES, DATA, PARTS, SITES, Config, Reading


def read(config: Config, out: RunDir) -> Manifest:
    """All images with site, label (case, control or none) and part; written to the run as its manifest.

    Raises `InputError` when there are none, a file is broken, labels are unknown, or a part lacks a class.
    """
    found = _imported(config, out)
    images.check_files(found.paths())
    sites = partition.by_site(found)
    parts = {name: _parted(part, config) for name, part in sites.items()}
    for name, part in parts.items():
        _check(name, part)
    whole = manifest.joined(list(parts.values()))
    manifest.write(whole, out.manifest)
    if not out.audit.exists():
        counts = audit.audit(whole).counts()
        write_json(out.audit, [{"kind": f"{kind} ({how})", "count": count} for (how, kind), count in counts.items()])
    write_json(out.environment, {**read_json(out.environment), "data_root": str(whole.root.resolve())})
    return whole


def labelled(sites: dict[str, Manifest]) -> list[str]:
    """The sites that have labels, so a classifier of their own."""
    return [name for name, part in sites.items() if (part.rows["label"] != "").any()]


def expected_sites(config: Config, out: RunDir) -> Sequence[str]:
    """The labelled sites of a run, by its manifest where it has begun, else as they should be."""
    if out.manifest.exists():
        with out.manifest.open(encoding="utf-8", newline="") as file:
            return sorted({line["site"] for line in csv.DictReader(file) if line["label"]})
    if config.task == "cervigrams":
        return sorted(two_sites.SITES)  # those of the paper
    return sorted(name for name, reading in SITES[config.task].items() if reading.case)


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_women:
        return f"cervigrams of {config.synthetic_women} synthetic women at each of two sites"
    return DATA[config.task]


def stand_in(config: Config) -> bool:
    """Whether the images are real ones of another data set than the paper's."""
    return config.task != "cervigrams"


def _imported(config: Config, out: RunDir) -> Manifest:
    if config.synthetic_women:
        drawn = out.root / "data"
        if not drawn.exists():
            tested = round(0.8 * two_sites.SPLITS["test"] * config.synthetic_women)
            two_sites.write(
                drawn,
                women=config.synthetic_women,
                seed=config.seed,
                labelled=config.synthetic_labelled,
                tested=tested,
            )  # fmt: skip
        return importers.load("csv", drawn).manifest
    if config.data.manifest is not None:
        return _own_labels(manifest.read(config.data.manifest, config.data.root), str(config.data.manifest))
    root = config.data.root
    if root is None:
        raise InputError(
            f"--data.root is missing: give the folder of the {config.task} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    if config.task == "cervigrams":
        found = importers.load("csv", root)
        _say(found.notes)
        return _own_labels(found.manifest, str(root))
    sites = []
    for name, reading in SITES[config.task].items():
        found = importers.load(reading.layout, root / reading.folder)
        _say(found.notes)
        sites.append(_as_site(found.manifest, name, reading, root))
    return manifest.joined(sites)


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}")


def _own_labels(found: Manifest, name: str) -> Manifest:
    manifest.check_labels(found, CLASSES, name)
    return found


def _as_site(found: Manifest, name: str, reading: Reading, root: Path) -> Manifest:
    """The images of one source below a common root, labelled case, control or not at all."""
    outside = found.rows["path"].map(lambda path: path.split("/")[0] not in reading.without)
    rows = found.where(outside).rows
    label = pd.Series("", index=rows.index, dtype=object)
    seen = (rows["view"].map(kind) == reading.view) if reading.view else pd.Series(True, index=rows.index)
    label[seen & rows["label"].isin(reading.case)] = "case"
    label[seen & rows["label"].isin(reading.control)] = "control"
    named = {column: [f"{name} {value}" if value else "" for value in rows[column]] for column in ("group", "case")}
    path = [f"{reading.folder}/{path}" for path in rows["path"]]
    return Manifest(rows.assign(path=path, label=label, site=name, split="", **named), root)


def _parted(site: Manifest, config: Config) -> Manifest:
    """A site's images with train, validation or test in the column split: as the source says, else drawn.

    A site without any label needs no test part.
    """
    there = set(site.rows["split"]) - {""}
    if there and (there != set(PARTS) or (site.rows["split"] == "").any()):
        raise InputError(
            f"site {site.rows['site'][0]}: the column split names {', '.join(sorted(there))}; "
            f"give {', '.join(PARTS)} for every image, or leave it empty"
        )
    if there:
        parts = {name: site.part(name) for name in PARTS}
    else:
        rest = 1 - config.validation_share - config.test_share
        shares = {"train": rest, "validation": config.validation_share, "test": config.test_share}
        if not labelled({"": site}):
            shares = {"train": 1 - config.validation_share, "validation": config.validation_share}
        parts = splits.grouped(site, shares, config.seed)
    splits.check_disjoint(parts)
    return splits.with_split_column(parts)


def _check(name: str, site: Manifest) -> None:
    if not labelled({name: site}):
        return
    for part in PARTS:
        lacking = set(CLASSES) - set(site.part(part).rows["label"])
        if lacking:
            raise InputError(f"site {name}: its part {part} has no {sorted(lacking)[0]}; ask for a larger part")
