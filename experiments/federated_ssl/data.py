"""The images of the study: every site's, labeled by its own criteria or not at all, in splits that share no woman."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from cervix_tf.study.data import SPLITS, DataDescription, Splits
from experiments.federated_ssl.config import CLASSES, DATA, PUBLISHED, SITES, Config, Row, SiteData


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

    importer = functools.partial(_imported, config)
    imported = data.load(config.data, config.task, importer, out, draw if config.synthetic_women else None)
    manifest.check_labels(imported.manifest, CLASSES, data.name_of(config.data, imported.manifest))
    sound = data.check(imported.manifest, out, config.data.damaged)
    parts = []
    if not sound.rows["site"].any():  # one institution's own images, as its importer lists them
        sound = Manifest(sound.rows.assign(site="own"), sound.root)
    sound = Manifest(_identified(sound.rows, config), sound.root)
    for name, images in partition.by_site(sound, at_least=1).items():
        of_site = _split(images, config, f"site {name}: ")
        if _labeled(images):
            data.check_classes(of_site, CLASSES, f"site {name}: ")
        parts.append(splits.with_split_column(of_site))
    whole = manifest.joined(parts)
    data.check_apart({name: whole.part(name) for name in SPLITS}, "all sites together: ")
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


def check_sites(config: Config, sites: Mapping[str, Site], rows: Sequence[Row]) -> None:
    """Raise `InputError` where there are images of one site, and rows that pre-train on several together."""
    if len(sites) < 2 and (together := [row.name for row in rows if row.shared]):
        raise InputError(
            f"{config.data.manifest or config.data.root}: has images of one site, {next(iter(sites))}, and "
            f"{', '.join(together)} needs two; fill the column site, or choose rows with --only"
        )


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
    site = rows["site"].map(lambda name: name.lower() if name.lower() in PUBLISHED.sites else name)
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


def _split(images: Manifest, config: Config, where: str) -> Splits:
    """A site's splits: as the source prescribes them, else drawn. What has no label is never tested (Table I).

    Raises `InputError` when a group is in two splits, or other splits are prescribed.
    """
    shares = {"validation": config.validation_share, "test": config.test_share}
    untested = {"validation": config.validation_share / (1 - config.test_share)}
    if (images.rows["split"] != "").any() or not _labeled(images):
        return data.split(images, shares if _labeled(images) else untested, config.seed, where=where)
    numbers = splits.group_numbers(images)
    known = np.isin(numbers, numbers[(images.rows["label"] != "").to_numpy()])
    labeled, unlabeled = images.where(pd.Series(known)), images.where(pd.Series(~known))
    parts = data.split(labeled, shares, config.seed, where=where)
    try:
        others = data.split(unlabeled, untested, config.seed, where=where) if len(unlabeled) else {}
    except InputError:  # too few women to be shared out: validation has labeled ones
        others = {"train": unlabeled}
    return parts | {name: manifest.joined([parts[name], more]) for name, more in others.items()}


def _labeled(images: Manifest) -> bool:
    return bool((images.rows["label"] != "").any())


def _imported(config: Config, root: Path) -> Imported:
    """One table of all sites, or a folder of each."""
    if config.synthetic_women or config.task == "cervigrams":
        return data.imported(config.data, "csv", root)
    sites = {}
    for name, source in SITES.items():
        imported = data.imported(config.data, source.layout, root / source.folder)
        sites[source.folder] = replace(imported, manifest=_as_site(imported.manifest, name, source))
    return importers.joined(root, sites)


def _as_site(images: Manifest, name: str, source: SiteData) -> Manifest:
    """The images of one source, labeled case, control or not at all."""
    outside = images.rows["path"].map(lambda path: path.split("/")[0] not in source.without)
    rows = images.where(outside).rows
    label = pd.Series("", index=rows.index, dtype=object)
    seen = (rows["view"].map(kind) == source.view) if source.view else pd.Series(True, index=rows.index)
    label[seen & rows["label"].isin(source.case)] = "case"
    label[seen & rows["label"].isin(source.control)] = "control"
    return replace(images, rows=rows.assign(label=label, site=name, split=""))
