"""The images of the study: every site's, labeled by its own criteria or not at all, in splits that share no woman."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cervix_tf.data import importers, inputs, manifest, splits, used_manifest
from cervix_tf.data.importers import Imported
from cervix_tf.data.inputs import Inputs, kind
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import two_sites
from cervix_tf.federated import partition
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data
from cervix_tf.study.data import SPLITS, DataDescription
from experiments.federated_ssl.config import CLASSES, DATA, SITES, Config, Row, SiteData


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
    for name, images in partition.by_site(sound, at_least=1).items():
        shares = {"validation": config.validation_share, "test": config.test_share}
        if not _labeled(images):
            del shares["test"]  # there is nothing to test
        of_site = data.split(images, shares, config.seed, where=f"site {name}: ")
        if _labeled(images):
            data.check_classes(of_site, CLASSES, f"site {name}: ")
        parts.append(splits.with_split_column(of_site))
    whole = manifest.joined(parts)
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
