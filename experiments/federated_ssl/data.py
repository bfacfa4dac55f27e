"""The images of the study: every site's, labeled by its own criteria or not at all, in splits that share no woman."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cervix_tf.data import importers, inputs, manifest, splits, used_manifest
from cervix_tf.data.importers import Imported
from cervix_tf.data.inputs import Inputs, kind
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import two_sites
from cervix_tf.errors import InputError
from cervix_tf.federated import partition
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import DataDescription
from experiments.federated_ssl.config import CLASSES, DATA, PAPER_SITES, SITES, SPLITS, Config, Row, SiteData


@dataclass(frozen=True)
class Site:
    """One site's images."""

    images: Mapping[str, Inputs]
    """Split -> all its images, labeled or not."""
    labeled: Mapping[str, Inputs]
    """Split -> those with a label; empty for a site without labels."""


def read(config: Config, out: RunDir) -> Manifest:
    """All images with site, label (case, control or none) and split; written to the run as its manifest.

    Raises `InputError` when there are none, a file is broken, labels are unknown, or a split lacks a class.
    """

    def draw(root: Path) -> None:
        tested = round(0.8 * two_sites.SPLITS["test"] * config.synthetic_women)
        two_sites.write(
            root, women=config.synthetic_women, seed=config.seed, labeled=config.synthetic_labeled, tested=tested
        )

    imported = data.load(
        config.data,
        config.task,
        lambda root: _imported(config, root),
        out,
        draw if config.synthetic_women else None,
    )
    manifest.check_labels(imported.manifest, CLASSES, data.name_of(config.data, imported.manifest))
    sound = data.check(imported.manifest, out, config.data.damaged)
    parts = {}
    if not sound.rows["site"].any():  # one institution's own images, as its importer lists them
        sound = Manifest(sound.rows.assign(site="own"), sound.root)
    sound = Manifest(_identified(sound.rows, config), sound.root)
    for name, images in partition.by_site(sound, at_least=1).items():
        parts[name] = _split(images, config)
        if _labeled(images):
            data.check_classes({each: parts[name].part(each) for each in SPLITS}, CLASSES, f"site {name}: ")
    whole = manifest.joined(list(parts.values()))
    used_manifest.keep(whole, out.manifest)
    return whole


def sites_of(everything: Manifest) -> dict[str, Site]:
    """The network inputs of every site and split."""
    sites = {}
    for name in sorted(set(everything.rows["site"])):
        here = everything.where(everything.rows["site"] == name)
        images = {part: inputs.from_every_image(here.part(part)) for part in SPLITS if len(here.part(part))}
        labeled = {part: inputs.from_images(here.part(part), CLASSES) for part in SPLITS} if _labeled(here) else {}
        sites[name] = Site(images, labeled)
    return sites


def described(config: Config, row: Row | None = None, at: str = "") -> DataDescription:
    """The data, for results and contract; `at` says what of the row is meant."""
    text = DATA[config.task]
    if config.synthetic_women:
        text = f"cervigrams of {config.synthetic_women} synthetic women at each of two sites"
    if row is not None:
        text = f"{text}; {row.name}, {at}"
    return DataDescription(text, bool(config.synthetic_women), config.task != "cervigrams", ("case",))


def _identified(rows: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows with the paper's sites as the tables call them (the paper writes NHS, ALTS), and ids of one woman each.

    Raises `InputError` when an id is at two sites and nothing says whether that is one woman.
    """
    site = rows["site"].map(lambda name: name.lower() if name.lower() in PAPER_SITES else name)
    if config.ids_per_site:
        ids = {name: (site + " " + rows[name]).where(rows[name] != "", "") for name in ("group", "case")}
        return rows.assign(site=site, **ids)
    known = rows["group"] != ""
    at = site[known].groupby(rows["group"][known]).agg(lambda some: sorted(set(some)))
    several = at[at.map(len) > 1]
    if len(several):
        raise InputError(
            f"{len(several)} women's ids are at several sites, first {several.index[0]!r} at "
            f"{' and '.join(several.iloc[0])}: give --ids-per-site where each site numbers its own women; a woman who "
            "was seen at two sites would be trained on at one and tested at the other: keep her images at one of them"
        )
    return rows.assign(site=site)


def _labeled(images: Manifest) -> bool:
    return bool((images.rows["label"] != "").any())


def _imported(config: Config, root: Path) -> Imported:
    """One table of all sites, or a folder of each."""
    if config.synthetic_women or config.task == "cervigrams":
        return importers.load("csv", root)
    sites, left_out, notes = [], [], []
    for name, source in SITES[config.task].items():
        imported = importers.load(source.layout, root / source.folder)
        sites.append(_as_site(imported.manifest, name, source, root))
        left_out += [(f"{source.folder}/{file}", reason) for file, reason in imported.left_out]
        notes += imported.notes
    return Imported(manifest.joined(sites), left_out, notes)


def _as_site(images: Manifest, name: str, source: SiteData, root: Path) -> Manifest:
    """The images of one source below a common root, labeled case, control or not at all."""
    outside = images.rows["path"].map(lambda path: path.split("/")[0] not in source.without)
    rows = images.where(outside).rows
    label = pd.Series("", index=rows.index, dtype=object)
    seen = (rows["view"].map(kind) == source.view) if source.view else pd.Series(True, index=rows.index)
    label[seen & rows["label"].isin(source.case)] = "case"
    label[seen & rows["label"].isin(source.control)] = "control"
    named = {column: [f"{name} {value}" if value else "" for value in rows[column]] for column in ("group", "case")}
    path = [f"{source.folder}/{path}" for path in rows["path"]]
    return Manifest(rows.assign(path=path, label=label, site=name, split="", **named), root)


def _split(site: Manifest, config: Config) -> Manifest:
    """A site's images with train, validation or test in the column split: as the source says, else drawn.

    A site without any label needs no test split.
    """
    needed = SPLITS if _labeled(site) else SPLITS[:2]
    there = set(site.rows["split"]) - {""}
    if there and (there not in (set(SPLITS), set(needed)) or (site.rows["split"] == "").any()):
        raise InputError(
            f"site {site.rows['site'][0]}: the column split names {', '.join(sorted(there))}; "
            f"give {', '.join(needed)} for every image, or leave it empty"
        )
    if there:
        parts = {name: site.part(name) for name in SPLITS if name in there}
    else:
        parts = _drawn(site, config)
    splits.check_disjoint(parts)
    return splits.with_split_column(parts)


def _drawn(site: Manifest, config: Config) -> dict[str, Manifest]:
    """Women with a label in three splits, those without any in two: no test measures what has no label (Table I)."""
    units = splits.leak_units(site)
    known = np.isin(units, units[(site.rows["label"] != "").to_numpy()])
    labeled, unlabeled = site.where(pd.Series(known)), site.where(pd.Series(~known))
    untested = 1 - config.test_share
    two = {"train": 1 - config.validation_share / untested, "validation": config.validation_share / untested}
    three = {"train": untested - config.validation_share, "validation": config.validation_share}
    drawn = []
    if len(labeled):
        drawn.append(splits.grouped(labeled, {**three, "test": config.test_share}, config.seed))
    if len(set(units[~known])) > 1 or not len(labeled):
        drawn.append(splits.grouped(unlabeled, two, config.seed))
    elif len(unlabeled):  # one woman cannot be shared out
        drawn.append({"train": unlabeled})
    return {
        name: manifest.joined([parts[name] for parts in drawn if name in parts])
        for name in SPLITS
        if any(name in parts for parts in drawn)
    }
