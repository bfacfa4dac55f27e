"""Intel & MobileODT cervical cancer screening (Kaggle): photographs of cervix types 1, 2 and 3.

| path | split | label |
|---|---|---|
| `train/train/Type_k/NNN.jpg` | train | Type_k |
| `additional_Type_k_v2/Type_k/NNN.jpg`, `additional/Type_k/NNN.jpg` | additional | Type_k |
| `test/.../NNN.jpg` | test | from `solution_stg1_release.csv` where there is one |
| `test_stg2/.../NNN.jpg` | test | none |
| `unlabelled/.../NNN.jpg` | none | none |

File names repeat between train and additional, so a file is known by its path. Where
they lie below the root, `fixed_labels_v2.csv` (filename, old_label, new_label) corrects
labels and files of `removed_files.csv` (filename) are left out; both give bare names,
and a name that fits several files is applied to none of them and noted. The option
`corrections` turns both off, for labels as they were published first.

There are no patient numbers. Byte-identical files form one group, and nothing more is
known: let the audit group the near-duplicates before splitting.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

from cervix_tf.data import names
from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

CLASSES = ("Type_1", "Type_2", "Type_3")
LAYOUT = "train/train/Type_k, additional_Type_k_v2/Type_k, additional/Type_k, test, test_stg2 or unlabelled"


def read(root: Path, options: Options) -> ImportedRecords:
    """One row an image, grouped by identical bytes; notes say which corrections were applied."""
    found = ImportedRecords()
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    for path in files.images(root, found):
        folders = [part.casefold() for part in PurePosixPath(path).parts[:-1]]
        label = next((name for name in CLASSES if name.casefold() in folders), "")
        if _tested(path):  # also where they were sorted by type
            splits[path] = "test"
        elif label:
            additional = any(part.startswith("additional") for part in folders)
            splits[path] = "additional" if additional else "train"
        elif {"unlabeled", "unlabelled"} & set(folders):
            splits[path] = ""
        else:
            found.leave_out(path, f"not in {LAYOUT}")
            continue
        labels[path] = label
    removed = _removed(root, labels, found) if options.corrections else set()
    if options.corrections:
        _correct(root, labels, found)
    _solve(root, labels, found)
    groups: Counter[str] = Counter()
    for path, label in labels.items():
        if path in removed:
            found.leave_out(path, "listed in removed_files.csv")
            continue
        digest = files.sha256(root / path)
        group = f"sha256 {digest[:16]}" if digest else path
        groups[group] += 1
        found.add(path, sha256=digest, label=label, group=group, split=splits[path])
    if found.records:
        twins = sum(count > 1 for count in groups.values())
        found.notes.append(
            f"no patient numbers: groups are byte-identical files ({twins} groups of two or more); "
            "let the audit group near-duplicates before splitting"
        )
    return found


def _tested(path: str) -> bool:
    return any(re.fullmatch(r"test(_stg\d)?", part.casefold()) for part in PurePosixPath(path).parts[:-1])


def _by_name(labels: dict[str, str]) -> dict[str, list[str]]:
    """Folded file name -> the training files in class folders that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, label in labels.items():
        if label and not _tested(path):
            found[names.fold(PurePosixPath(path).name)].append(path)
    return found


def _matches(row: tables.Row, label: str, by_name: dict[str, list[str]]) -> list[str]:
    """The training files that a table row means: by name and, where the row has one, by class folder."""
    wanted = PurePosixPath(names.fold(row["filename"].replace("\\", "/")))
    fits = []
    for path in by_name.get(wanted.name, ()):
        folders = [names.fold(part) for part in PurePosixPath(path).parts[:-1]]
        if (len(wanted.parts) < 2 or wanted.parts[-2] == folders[-1]) and names.fold(label) in ("", *folders):
            fits.append(path)
    return fits


def _removed(root: Path, labels: dict[str, str], found: ImportedRecords) -> set[str]:
    path = tables.find(root, ["removed_files.csv"])
    if path is None:
        return set()
    by_name = _by_name(labels)
    removed: set[str] = set()
    unknown = 0
    for row in tables.read(path, ["filename"], ["old_label", "label", "type"]):
        fits = _matches(row, row["old_label"] or row["label"] or row["type"], by_name)
        if len(fits) == 1:
            removed.add(fits[0])
        elif fits:
            found.notes.append(f"{path.name} line {row.line}: {row['filename']} fits {', '.join(fits)}; all kept")
        unknown += not fits
    if unknown:
        found.notes.append(f"{path.name}: without a file in this copy: {amount(unknown, 'row')}")
    return removed


def _correct(root: Path, labels: dict[str, str], found: ImportedRecords) -> None:
    path = tables.find(root, ["fixed_labels_v2.csv"])
    if path is None:
        return
    by_name, classes = _by_name(labels), {names.fold(name): name for name in CLASSES}
    changed: dict[str, tuple[str, int]] = {}
    unknown = 0
    for row in tables.read(path, ["filename", "old_label", "new_label"]):
        label = classes.get(names.fold(row["new_label"]))
        if label is None:
            raise InputError(f"{row.where}: new_label {row['new_label']!r} is not one of {', '.join(CLASSES)}; fix it")
        fits = _matches(row, row["old_label"], by_name)
        if len(fits) == 1:
            other, line = changed.setdefault(fits[0], (label, row.line))
            if other != label:
                raise InputError(
                    f"{row.where}: new_label {label!r}: {fits[0]} has {other!r} on line {line}; keep the right one"
                )
        elif fits:
            found.notes.append(f"{path.name} line {row.line}: {row['filename']} fits {', '.join(fits)}; left as is")
        unknown += not fits
    labels.update({file: label for file, (label, _) in changed.items()})
    idle = f", without a file in this copy: {amount(unknown, 'row')}" if unknown else ""
    found.notes.append(f"{path.name}: {amount(len(changed), 'label')} corrected{idle}")


def _solve(root: Path, labels: dict[str, str], found: ImportedRecords) -> None:
    path = tables.find(root, ["solution_stg1_release.csv"])
    if path is None:
        return
    answers: dict[str, tuple[str, int]] = {}
    for row in tables.read(path, ["image_name", *CLASSES]):
        marked = [name for name in CLASSES if row[name] in ("1", "1.0")]
        if len(marked) != 1:
            raise InputError(f"{row.where}: {row['image_name']}: not exactly one type is marked 1; fix it")
        other, line = answers.setdefault(names.fold(row["image_name"]), (marked[0], row.line))
        if other != marked[0]:
            raise InputError(
                f"{row.where}: {row['image_name']}: is {marked[0]} here and {other} on line {line}; keep the right one"
            )
    solved = 0
    for file in labels:
        folders = [part.casefold() for part in PurePosixPath(file).parts[:-1]]
        first_stage = "test" in folders or "test_stg1" in folders
        answer = answers.get(names.fold(PurePosixPath(file).name))
        if first_stage and "test_stg2" not in folders and answer:
            labels[file] = answer[0]
            solved += 1
    found.notes.append(f"{path.name}: {solved} test images labeled")
