"""Any images sorted into class folders.

`<class>/.../image` or `<split>/<class>/.../image`, where a first folder called train,
training, val, valid, validation or test is the split. Images in no class folder are
unlabelled. No groups are known, so every image is its own.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options, files
from cervix_tf.data.importers.found import Found

LAYOUT = "images in class folders"
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def read(root: Path, options: Options) -> Found:
    """One row an image, labelled with its class folder as `labels` renames it."""
    found = Found()
    for path in files.images(root, found):
        folders = list(PurePosixPath(path).parts[:-1])
        split = _SPLITS.get(folders[0].casefold(), "") if folders else ""
        if split:
            folders.pop(0)
        name = folders[0] if folders else ""
        found.add(path, label=options.labels.get(name, name), group=path, split=split)
    unlabelled = sum(not record["label"] for record in found.records)
    if unlabelled:
        found.notes.append(f"{unlabelled} images lie in no class folder and are unlabelled")
    found.notes.append("no groups are known: every image is its own, so a split may share a woman between its parts")
    return found
