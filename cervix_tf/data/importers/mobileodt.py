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
from collections import Counter
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options, files, tables
from cervix_tf.data.importers.found import Found
from cervix_tf.errors import InputError

CLASSES = ("Type_1", "Type_2", "Type_3")
LAYOUT = "train/train/Type_k, additional_Type_k_v2/Type_k, additional/Type_k, test, test_stg2 or unlabelled"


def read(root: Path, options: Options) -> Found:
    """One row an image, grouped by identical bytes; notes say which corrections were applied."""
    found = Found()
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    for path in files.images(root, found):
        folders = [part.casefold() for part in PurePosixPath(path).parts[:-1]]
        label = next((name for name in CLASSES if name.casefold() in folders), "")
        additional = any(part.startswith("additional") for part in folders)
        if label:
            splits[path] = "additional" if additional else "train"
        elif any(re.fullmatch(r"test(_stg\d)?", part) for part in folders):
            splits[path] = "test"
        elif "unlabelled" in folders or "unlabeled" in folders:
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


def _matches(row: tables.Row, label: str, labels: dict[str, str]) -> list[str]:
    """The training files that a table row means: by name and, where the row has one, by class folder."""
    wanted = PurePosixPath(row["filename"].replace("\\", "/"))
    return [
        path
        for path in labels
        if labels[path]
        and PurePosixPath(path).name == wanted.name
        and (len(wanted.parts) < 2 or wanted.parts[-2] == PurePosixPath(path).parts[-2])
        and (not label or label == PurePosixPath(path).parts[-2])
    ]


def _removed(root: Path, labels: dict[str, str], found: Found) -> set[str]:
    path = tables.find(root, ["removed_files.csv"])
    removed: set[str] = set()
    for row in tables.read(path, ["filename"]) if path else ():
        fits = _matches(row, row["old_label"] or row["label"] or row["type"], labels)
        if len(fits) == 1:
            removed.add(fits[0])
        elif fits:
            found.notes.append(f"removed_files.csv line {row.line}: {row['filename']} fits {', '.join(fits)}; all kept")
    return removed


def _correct(root: Path, labels: dict[str, str], found: Found) -> None:
    path = tables.find(root, ["fixed_labels_v2.csv"])
    if path is None:
        return
    changed: dict[str, str] = {}
    for row in tables.read(path, ["filename", "old_label", "new_label"]):
        if row["new_label"] not in CLASSES:
            raise InputError(
                f"{path}: line {row.line}: new_label {row['new_label']!r} is none of {', '.join(CLASSES)}; mend it"
            )
        fits = _matches(row, row["old_label"], labels)
        if len(fits) == 1:
            changed[fits[0]] = row["new_label"]
        elif fits:
            found.notes.append(
                f"fixed_labels_v2.csv line {row.line}: {row['filename']} fits {', '.join(fits)}; left as is"
            )
    labels.update(changed)
    found.notes.append(f"fixed_labels_v2.csv: {len(changed)} labels corrected")


def _solve(root: Path, labels: dict[str, str], found: Found) -> None:
    path = tables.find(root, ["solution_stg1_release.csv"])
    if path is None:
        return
    answers: dict[str, str] = {}
    for row in tables.read(path, ["image_name", *CLASSES]):
        marked = [name for name in CLASSES if row[name] in ("1", "1.0")]
        if len(marked) != 1:
            raise InputError(f"{path}: line {row.line}: {row['image_name']}: not exactly one type is marked 1; mend it")
        answers[row["image_name"]] = marked[0]
    solved = 0
    for file in labels:
        folders = [part.casefold() for part in PurePosixPath(file).parts[:-1]]
        first_stage = "test" in folders or "test_stg1" in folders
        if first_stage and "test_stg2" not in folders and PurePosixPath(file).name in answers:
            labels[file] = answers[PurePosixPath(file).name]
            solved += 1
    found.notes.append(f"solution_stg1_release.csv: {solved} test images labelled")
