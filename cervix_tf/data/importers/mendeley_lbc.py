"""Mendeley LBC: liquid-based cytology, whole microscope pictures of four Bethesda classes, a folder a class.

`<class in words>/<name>.jpg`. The pictures are of 460 women, but no name says which, so every picture is its own group:
see the data sheet. Never tried on the original download.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

CLASSES = ("NILM", "LSIL", "HSIL", "SCC")
_BEGINNING = {"negative": "NILM", "low squamous": "LSIL", "high squamous": "HSIL", "squamous cell carcinoma": "SCC"}
"""How a class folder's name begins, case ignored -> class."""
LAYOUT = (
    "folders Negative for Intraepithelial malignancy, Low squamous intra-epithelial lesion, High squamous "
    "intra-epithelial lesion, Squamous cell carcinoma with pictures"
)


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a picture, labeled with its Bethesda class, grouped by itself."""
    found = ImportedRecords()
    for path in files.images(root, found):
        pure = PurePosixPath(path)
        folder = pure.parent.name.casefold()
        label = next((label for beginning, label in _BEGINNING.items() if folder.startswith(beginning)), "")
        if label:
            found.add(path, label=label, group=f"{label}/{pure.stem}")
        else:
            found.leave_out(path, "not in a folder named after one of the four classes")
    if found.records:
        found.notes.append(
            "no name says which woman a picture is of: each is its own group, which leaks if a woman has "
            "several; --similar joins near-duplicates"
        )
    return found
