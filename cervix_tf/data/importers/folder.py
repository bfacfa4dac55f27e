r"""Any images sorted into class folders.

`<class>/.../image` or `<split>/<class>/.../image`, where a first folder called train,
training, val, valid, validation, test or testing is the split. Images in no class folder are
unlabeled. Small or flat copies of known data sets come in too: where the name of every class (or split)
folder ends in `_flat` or `_mini`, that ending is no part of it (`Dyskeratotic_flat`, `train_mini/Type_1_mini`).

Which images belong together only their names can tell: the option `group_pattern` is a regular
expression with one capturing group, whose text is the image's group. It has to match the whole file name without its
ending, `(\d+)_\d+` say, or, if it has a /, the whole path without its ending: `.*?(\w+/\d+)_\d+` takes numbers
that start again in each class folder for different ones. Without it every image is its own group.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files, labels
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

LAYOUT = "images in class folders"
_COPY = re.compile(r"[_ -](flat|mini)$", re.IGNORECASE)


def read(root: Path, options: Options) -> ImportedRecords:
    """One row an image, labeled with its class folder as `labels` renames it.

    Raises `InputError` that names the first file which `group_pattern` does not match, and where `labels` names no
    class folder.
    """
    found = ImportedRecords()
    paths = files.images(root, found)
    pattern = _pattern(options.group_pattern)
    folders = {path: list(PurePosixPath(path).parts[:-1]) for path in paths}
    for path, parts in folders.items():
        split = labels.SPLITS.get(_COPY.sub("", parts[0]).casefold(), "") if parts else ""
        if split:
            parts.pop(0)
        name = parts[0] if parts else ""
        group = _group(path, pattern, root) if pattern else path
        found.add(path, label=name, group=group, split=split)
    there = {str(record["label"]) for record in found.records}
    endings = {match[0] if (match := _COPY.search(label)) else "" for label in there - {""}}
    copied = endings and "" not in endings
    plain = {label: _COPY.sub("", label) if copied else label for label in there}
    labels.check(options.labels, {*plain, *plain.values()}, root)
    for record in found.records:
        label = str(record["label"])
        record["label"] = options.labels.get(label, options.labels.get(plain[label], plain[label]))
    if copied:
        found.notes.append(f"every class folder ends in {' or '.join(sorted(endings))}: left out of the labels")
    inner = [path for path, parts in folders.items() if any(part.casefold() in labels.SPLITS for part in parts[1:])]
    if inner:
        found.notes.append(
            f"{len(inner)} images are in folders called train, test or the like below their class folder (first: "
            f"{inner[0]}): not read as a split; put these folders above the class folders"
        )
    unlabeled = sum(not record["label"] for record in found.records)
    if unlabeled:
        found.notes.append(f"{amount(unlabeled, 'image')} in no class folder and so without a label")
    if pattern:
        count = len({record["group"] for record in found.records})
        found.notes.append(f"{amount(count, 'group')} by the pattern {options.group_pattern}")
    else:
        found.notes.append(
            "no groups are known: every image is its own group, so one woman may be in several splits; "
            "--group-pattern takes groups from the file names"
        )
    return found


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"--group-pattern {text!r}: is not a regular expression ({error}); fix it") from None
    if pattern.groups != 1:
        raise InputError(
            f"--group-pattern {text!r}: has {pattern.groups} groups in parentheses, but needs exactly one: "
            "what it matches is the image's group; "
            r"write (\d+)_\d+, say, and (?:...) around others"
        )
    return pattern


def _group(path: str, pattern: re.Pattern[str], root: Path) -> str:
    pure = PurePosixPath(path)
    name = pure.with_suffix("").as_posix() if "/" in pattern.pattern else pure.stem
    match = pattern.fullmatch(name)
    if match is None or not match[1]:
        raise InputError(
            f"{root / path}: --group-pattern '{pattern.pattern}' does not match {name!r}; fix the pattern so that it "
            "matches every image's name without its ending, or move this file"
        )
    return match[1]
