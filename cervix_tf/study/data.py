"""The images of a study: drawn, imported or from a manifest, labeled with its classes, checked and written down."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from cervix_tf import progress, shown_paths
from cervix_tf.config import Source
from cervix_tf.data import audit, importers, manifest, readable, splits, used_manifest
from cervix_tf.data.importers import Imported, Options
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.views import kind
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.wording import amount

Name = TypeVar("Name", bound=str)
Splits = dict[str, Manifest]
"""train, test and, as a rule, validation."""
SPLITS = ("train", "validation", "test")
_NAMED = 3  # files that an error names
_OPTIONS = [name for name in importers.READ_BY if name in Source.__dataclass_fields__]
"""What a source may say to an importer."""


@dataclass(frozen=True)
class DataDescription:
    """What a result says of its data: in words, and whether they are the paper's."""

    text: str
    synthetic: bool
    """Drawn images: good for trying the software, for nothing else."""
    stand_in: bool = False
    """Real images of another data set than the paper's."""
    positive: tuple[str, ...] = ()
    """Classes of the binary reading; may be empty."""


def read(
    source: Source,
    what: str,
    importer: Callable[[Path], Imported],
    label_map: Mapping[str, Sequence[str]],
    out: RunDir,
    draw: Callable[[Path], None] | None = None,
    *,
    view: str = "",
    others: str = "refuse",
    hint: str = "",
    at_least: int | None = None,
) -> Manifest:
    """The images of a study, labeled with its classes, each decoded once: `load`, `labeled` and `check` in one.

    With `view`, only images of that kind of view. Raises `InputError` when there are none, a label is of another
    data set, a class is empty, or a file is broken.
    """
    imported = load(source, what, importer, out, draw)
    if view:
        seen = imported.manifest.where(imported.manifest.rows["view"].map(kind) == view)
        imported = replace(imported, manifest=seen)
    name = name_of(source, imported.manifest)
    kept = labeled(imported, label_map, name, others=others, hint=hint, at_least=at_least)
    return check(kept, out, source.damaged)


def load(
    source: Source,
    what: str,
    importer: Callable[[Path], Imported],
    out: RunDir,
    draw: Callable[[Path], None] | None = None,
) -> Imported:
    """The images of a study: what `draw` writes into the run, or what the user's manifest or data root holds.

    A manifest is taken as it is; a root is read by `importer`, whose notes are printed (of drawn images they
    would say how many the original has). `what` names the images where there are none.

    Raises `InputError` when neither is given, cannot be read, or would be left unread for drawn images, or when an
    option for the importer comes to nothing.
    """
    if (draw is not None or source.manifest is not None) and (told := _told(source)):
        what = "drawn images" if draw is not None else f"--data.manifest {source.manifest}, which is taken as it is"
        raise InputError(f"{_option(told[0])}: does not apply to {what}; leave it out")
    if draw is not None:
        if given := source.manifest or source.root:
            raise InputError(
                f"{given}: would not be read, since this preset draws synthetic images; use another preset, or set "
                "its --synthetic- option to 0 (--help lists it)"
            )
        root = out.root / "data"
        if not root.exists():
            with progress.stage("drawing synthetic images"):
                draw(root)
        return importer(root)
    if source.manifest is not None:
        return Imported(manifest.read(source.manifest, source.root), [], [])
    imported = importer(root_of(source, what))
    for note in imported.notes:
        print(f"note: {note}")
    for reason, count in Counter(reason for _, reason in imported.left_out).items():
        first = next(file for file, why in imported.left_out if why == reason)
        print(f"note: left out: {count} x {reason} (first: {first})")
    return imported


def root_of(source: Source, what: str = "study's") -> Path:
    """The folder of a source. Raises `InputError` when none is given."""
    if source.root is None:
        raise InputError(
            f"--data.root is missing: give the folder of the {what} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    return source.root


def importer_options(source: Source, layout: str) -> Options:
    """What a source says to the importer of a layout.

    Raises `InputError` for an option that this layout's importer does not read.
    """
    importers.check_read(layout, {name: _option(name) for name in _told(source)})
    return Options(**{name: getattr(source, name) for name in _OPTIONS} | {"labels": dict(source.labels)})


def imported(source: Source, layout: str, root: Path) -> Imported:
    """What the importer of a layout finds below a root, told what the source says to it."""
    return importers.load(layout, root, importer_options(source, layout))


def imported_sets(
    source: Source, names: Sequence[Name], root: Path, left: Callable[[list[Name]], str] = " ".join
) -> Imported:
    """Data sets, each in a folder of its layout's name below one root, as one manifest; the column `site` names them.

    Raises `InputError` for missing folders; of those that are there, `left` says what a study can do with, as
    `--data-sets` takes it.
    """
    missing = [name for name in names if not (root / name).is_dir()]
    if missing:
        others = left([name for name in names if name not in missing])
        remedy = f", or leave it out: --data-sets {others}" if others else ""
        raise InputError(
            f"{root}: has no folder {', '.join(missing)}; put each data set into a folder of its name{remedy}"
        )
    found = {name: imported(source, name, root / name) for name in names}
    sited: dict[str, Imported] = {
        name: replace(each, manifest=replace(each.manifest, rows=each.manifest.rows.assign(site=name)))
        for name, each in found.items()
    }
    return importers.joined(root, sited)


def check_sets(images: Manifest, names: Sequence[str], where: str) -> None:
    """Raise `InputError` unless the column `site` names one of these data sets in every row of `where`."""
    strange = images.rows[~images.rows["site"].isin(names)]
    if len(strange):
        first = strange.iloc[0]
        raise InputError(
            f"{where}: {first['path']}: site {first['site']!r} is not one of the data sets {', '.join(names)} "
            f"({len(strange)} such rows); write the data set there, or name it with --data-sets"
        )


def _told(source: Source) -> list[str]:
    """The options for an importer that are given."""
    usual = Source()
    return [name for name in _OPTIONS if getattr(source, name) != getattr(usual, name)]


def _option(name: str) -> str:
    return f"--data.{name.replace('_', '-')}"


def name_of(source: Source, images: Manifest) -> str:
    """What messages call the images: the manifest's file, or their folder."""
    return str(source.manifest or images.root)


def labeled(
    imported: Imported,
    label_map: Mapping[str, Sequence[str]],
    name: str,
    *,
    others: str = "refuse",
    hint: str = "",
    at_least: int | None = None,
) -> Manifest:
    """The labeled rows, with the study's classes as labels; every class has some, or `at_least` so many classes.

    `label_map` gives each class its labels in the source. Rows without a label are left out, which is said;
    those with another label are refused, or with `others="leave out"` left out too. `name` stands for the images in
    messages, `hint` is what to do about an empty class, {} in it the label that is looked for.

    Raises `InputError` for a label that is none of these, and when a class is empty that must not be.
    """
    classes = {label: each for each, labels in label_map.items() for label in labels}
    rows = imported.manifest.rows
    known, empty = rows["label"].isin(classes), rows["label"] == ""
    strange = rows[~known & ~empty]
    if not known.any():
        there = ", ".join(sorted(set(rows["label"]) - {""})[:8]) or "none"
        raise InputError(
            f"{name}: no image has one of the labels {', '.join(classes)}; the labels there are {there}"
            + (f": {hint.format(next(iter(classes)))}" if hint else "")
        )
    if len(strange) and others == "refuse":
        first = strange.iloc[0]
        raise InputError(
            f"{name}: {first['path']}: label {first['label']!r} is not one of {', '.join(classes)}; {len(strange)} "
            "such rows: is this another data set's manifest, or a mixture? Take these rows out, or rename their labels"
        )
    if len(strange):
        print(f"note: {amount(len(strange), 'image')} left out: labeled none of {', '.join(classes)}")
    if empty.any():
        print(f"note: {amount(empty.sum(), 'image')} left out: no label")
    kept = imported.manifest.where(known)
    kept = replace(kept, rows=kept.rows.assign(label=kept.rows["label"].map(classes)))
    lacking = [each for each in label_map if each not in set(kept.rows["label"])]
    if len(label_map) - len(lacking) < (at_least or len(label_map)):
        passed = "; ".join(f"{file}: {reason}" for file, reason in imported.left_out[:_NAMED])
        raise InputError(
            f"{name}: no image of class {lacking[0]} among {len(kept)} labeled ones ({len(lacking)} of "
            f"{len(label_map)} classes are empty); its label in the source is {' or '.join(label_map[lacking[0]])}: "
            f"{hint.format(label_map[lacking[0]][0]) or 'check the names of the class folders'}"
            + (f". {amount(len(imported.left_out), 'image')} left out: {passed}" if passed else "")
        )
    return kept


def check(images_used: Manifest, out: RunDir, damaged: Literal["fail", "skip"] = "fail") -> Manifest:
    """The images that can be read: every one is decoded once, and the run notes what the audit found.

    Damaged ones are refused, or with `damaged="skip"` left out, which is said and counted.

    Raises `InputError` that names each broken file and each whose sha256 is no longer the manifest's, and where every
    image of a class would be left out.
    """
    kept, left_out = readable.only(images_used, damaged)
    for problem in left_out:
        print(f"note: left out: {problem}")
    if lost := sorted(set(images_used.rows["label"]) - set(kept.rows["label"]) - {""}):
        files = set(images_used.where(images_used.rows["label"] == lost[0]).paths())
        first = next(problem for problem in left_out if problem.name in files)
        raise InputError(
            f"{images_used.root}: none of the {len(files)} images of class {lost[0]} can be read; the first: {first}; "
            "repair or convert them, or take the class out of the data"
        )
    readable.check_unchanged(kept)
    if not out.audit.exists():
        counts = audit.audit(kept).counts()
        found = [{"kind": f"{kind} ({how})", "count": count} for (how, kind), count in counts.items()]
        write_json(out.audit, [*readable.counts(left_out), *found])
    where = shown_paths.kept(str(kept.root.resolve()))
    write_json(out.environment, {**read_json(out.environment), "data_root": where})
    return kept


def check_classes(parts: Mapping[str, Manifest], classes: Collection[str], where: str = "") -> None:
    """Raise `InputError` when one of the splits lacks a class; `where` begins the message."""
    if lacking := splits.lacking(parts, classes):
        raise InputError(f"{where}{lacking[0]}")


def prescribed(images_used: Manifest, *allowed: Sequence[str], where: str = "") -> Splits:
    """The splits that the source prescribes in its column `split`; none where the column is empty.

    Raises `InputError` unless they are one of the `allowed` sets of names, one for every image; `where` begins the
    message.
    """
    there = set(images_used.rows["split"])
    for names in allowed:
        if there == set(names):
            return {name: images_used.part(name) for name in names}
    if there - {""}:
        wanted = " or ".join(f"({', '.join(names)})" for names in dict.fromkeys(map(tuple, allowed)))
        named = ", ".join(sorted(there - {""}))
        without = f" and, for {amount((images_used.rows['split'] == '').sum(), 'image')}, none" if "" in there else ""
        raise InputError(
            f"{where}the column split names {named}{without}; give exactly the names {wanted}, or leave it empty"
        )
    return {}


def split(images_used: Manifest, shares: Mapping[str, float], seed: int, where: str = "") -> Splits:
    """train and a split for each of `shares`: as the source prescribes them, else drawn with no group in two of them.

    Where it prescribes train and test alone, validation comes out of train. They are told apart by `check_apart`.

    Raises `InputError` when a group is in two splits, or other splits are prescribed.
    """
    parts = prescribed(images_used, SPLITS, ("train", *shares), ("train", "test"), where=where)
    if not parts:
        parts = splits.grouped(images_used, {"train": 1 - sum(shares.values()), **shares}, seed)
    elif "validation" not in parts:
        inner = {"train": 1 - shares["validation"], "validation": shares["validation"]}
        parts |= splits.grouped(parts["train"], inner, seed)
    check_apart(parts, where)
    return parts


def check_apart(parts: Mapping[str, Manifest], where: str = "") -> None:
    """Raise `InputError` when a group is in two splits; warn of splits that have copies of the same file."""
    splits.check_disjoint(parts)
    for sentence in splits.copies(parts):
        print(f"warning: {where}{sentence}", file=sys.stderr)


def keep_manifest(parts: Mapping[str, Manifest], out: RunDir) -> Manifest:
    """The manifest as used, each image's split in its `split` column, which is written into the run.

    Raises `InputError` when the run was made with another one.
    """
    whole = splits.with_split_column(parts)
    used_manifest.keep(whole, out.manifest)
    return whole


def counts(parts: Mapping[str, Manifest]) -> dict[str, Counter[str]]:
    """Split -> images of each label."""
    return {name: Counter(part.rows["label"]) for name, part in parts.items()}
