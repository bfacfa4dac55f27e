"""Original layouts into manifests: one module per layout, found by its name; nothing else in the library knows layouts.

`load("sipakmed", root)` walks the folder, makes one manifest row an image, in an order
that depends on the names alone, and says what it left out and how the find differs
from the data set's sheet (`data_manifests/<name>/datasheet.yaml`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf.errors import InputError
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from cervix_tf.data.importing.imported_records import ImportedRecords
    from cervix_tf.data.manifest import Manifest

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))

UNTRIED = ("apacc", "hicervix", "mendeley_lbc", "riva", "riva_challenge")
"""Those that are written from descriptions and public code, and were never tried on the original files."""

_CLASS_FOLDERS = ("cervigram_visits", "cric_crops", "herlev", "mendeley_lbc", "mobileodt", "pbc", "sipakmed")
"""Layouts with one folder per class, of which there are copies with other names and fewer folders."""
_FLAT_COPIES = (
    ". Import copies with one folder per class with `import folder ROOT`, with groups from their file names by a "
    r"pattern: --group-pattern '(\d+)_\d+'"
)
"""The way out that a refusal names for these layouts."""

READ_BY = {
    "labels": ("cervigram_visits", "csv", "folder"),
    "group_pattern": ("folder",),
    "train_folder": ("cervigram_visits",),
    "test_folder": ("cervigram_visits",),
    "overrides": ("cervigram_visits",),
    "corrections": ("mobileodt",),
    "crops": ("apacc", "cric", "riva", "riva_challenge"),
    "crop_size": ("cric", "riva"),
    "annotator": ("riva",),
    "level": ("hicervix",),
    "table": ("csv",),
    "path_column": ("csv",),
    "label_column": ("csv",),
    "group_column": ("csv",),
    "case_column": ("csv",),
    "view_column": ("csv",),
    "site_column": ("csv",),
    "device_column": ("csv",),
    "split_column": ("csv",),
    "age_column": ("csv",),
}
"""Options -> the layouts whose importers read them, and no other; all read those that are not named here."""


@dataclass(frozen=True)
class Options:
    """What an importer may need to be told; every field says which importers read it."""

    hash: bool = True
    """Write each file's sha256 (reads every byte); mobileodt hashes always, its groups come from it."""
    labels: dict[str, str] = field(default_factory=dict)
    """cervigram_visits, folder, csv: class folder or label in the source -> label in the manifest."""
    group_pattern: str = ""
    r"""folder: regular expression with one capturing group, whose text is the image's group, such as (\d+)_\d+; it has
    to match the whole file name without ending or, if it has a /, the path without ending."""
    train_folder: str = "train"
    """cervigram_visits: folder of the training visits, relative to the root."""
    test_folder: str = "test"
    """cervigram_visits: folder of the test visits, relative to the root."""
    overrides: Path | None = None
    """cervigram_visits: CSV with columns visit,file,view for visits that the order of names gets wrong."""
    corrections: bool = True
    """mobileodt: apply removed_files.csv and fixed_labels_v2.csv where they are there."""
    crops: Path | None = None
    """cric, riva, riva_challenge, apacc: folder to write the cell crops to (PNG); it becomes the manifest's root."""
    crop_size: int = 100
    """cric, riva: side of the square cut around each nucleus, pixels of the field as it is on disk. CRIC states none:
    ready crops in public copies have 100, Diniz et al. 2021 (J. Imaging 7, 111), of CRIC's own group, cut 90. The boxes
    of RIVA's challenge have 100."""
    annotator: str = ""
    """riva: annotator_1, annotator_2, ...: whose points count in fields that several experts marked."""
    level: int = 3
    """hicervix: how finely cells are labeled, from 1 to 3; a cell without a class there has its finest."""
    table: Path | None = None
    """csv: the table of images, relative to the current folder; by default the only .csv or .xlsx file in the root,
    manifests left out."""
    path_column: str = "path"
    """csv: column of image files, relative to the root."""
    label_column: str = ""
    """csv: column of class names, by default `label`, which may be missing."""
    group_column: str = ""
    """csv: column of the group (woman, slide, ...), by default `woman` or else `group`; without either every image is
    its own group."""
    case_column: str = ""
    """csv: column that says which images make one input, by default `case`, which may be missing."""
    view_column: str = ""
    """csv: column of the image's place in its case, by default `view`, which may be missing."""
    site_column: str = ""
    """csv: column of the federated client, by default `site`, which may be missing."""
    device_column: str = ""
    """csv: column of what took the image, by default `device`, `scanner` or else `camera`, which may be missing."""
    split_column: str = ""
    """csv: column of the prescribed part, by default `split`, which may be missing."""
    age_column: str = ""
    """csv: column of the age in years, by default `age`, which may be missing."""


@dataclass(frozen=True)
class Imported:
    """A manifest, what did not go into it, and what there is to say about it."""

    manifest: Manifest
    left_out: list[tuple[str, str]]
    """(file or case, reason), one for everything that was seen and is not in the manifest."""
    notes: list[str]
    """Decisions that fell on this copy, and what was found against what the data sheet expects."""
    table: Path | None = None
    """The user's own table that the rows are from, where there is one."""


def check_read(layout: str, told: Mapping[str, str]) -> None:
    """Raise `InputError` that names each option which the importer of a layout does not read.

    `told` has, for each option given, what the user calls it.
    """
    problems = [
        f"{called}: is not read for the layout {layout}, only for {', '.join(READ_BY[option])}"
        for option, called in told.items()
        if layout not in READ_BY[option]
    ]
    if problems:
        raise InputError("\n".join(problems))


def load(name: str, root: Path, options: Options | None = None) -> Imported:
    """The manifest of the data set `name` (one of `NAMES`) whose files lie below `root`.

    Files that cannot be read keep their row, with empty width and height: the audit
    judges them. Raises `InputError` when the folder is missing, empty or laid out otherwise, and for an option that
    this importer does not read.
    """
    if name not in NAMES:
        raise InputError(f"{name}: no such importer; choose from {', '.join(NAMES)}")
    from cervix_tf.data import datasheet, manifest
    from cervix_tf.data.importing import files

    options, usual = options or Options(), Options()
    told = [option for option in READ_BY if getattr(options, option) != getattr(usual, option)]
    check_read(name, {option: f"--{option.replace('_', '-')}" for option in told})
    module = importlib.import_module(f"{__name__}.{name}")
    found: ImportedRecords = module.read(Path(root), options)
    if not found.records:
        example = f"; there is, for example, {found.left_out[-1][0]}" if found.left_out else ""
        way_out = _FLAT_COPIES if name in _CLASS_FOLDERS else ""
        raise InputError(f"{root}: nothing here is laid out as {name}; looked for {module.LAYOUT}{example}{way_out}")
    at = found.root or Path(root)
    unreadable = files.describe(found.records, at, options.hash)
    table = manifest.from_records(
        found.records,
        at,
        str(found.table.path if found.table else root),
        found.table.where if found.table else lambda row: str(at / str(found.records[row]["path"])),
    )
    notes = list(found.notes)
    if name in UNTRIED:
        notes.append(
            f"the importer {name} was never tried on the original files: compare its counts with what was published, "
            "and look at some images with `show --out`"
        )
    if unreadable:
        notes.append(
            f"{amount(len(unreadable), 'file')} without a readable image header, width and height stay empty "
            f"({', '.join(unreadable[:3])}{', ...' if len(unreadable) > 3 else ''}): the audit checks them"
        )
    if name in datasheet.names():
        notes += datasheet.differences(datasheet.read(name), table)
    return Imported(table, found.left_out, notes, found.table.path if found.table else None)


def joined(root: Path, imported: Mapping[str, Imported]) -> Imported:
    """Data sets in folders below a common root, by these folders, as one: files, groups and cases begin with theirs."""
    from cervix_tf.data import manifest
    from cervix_tf.data.manifest import Manifest

    parts = []
    for folder, each in imported.items():
        rows = each.manifest.rows
        named = {
            column: [f"{folder}/{value}" if value else "" for value in rows[column]]
            for column in ("path", "group", "case")
        }
        parts.append(Manifest(rows.assign(**named), root))
    return Imported(
        manifest.joined(parts),
        [(f"{folder}/{file}", reason) for folder, each in imported.items() for file, reason in each.left_out],
        [note for each in imported.values() for note in each.notes],
    )
