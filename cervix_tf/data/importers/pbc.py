"""Peripheral blood cells (Acevedo et al. 2020): single cells of eight classes, a folder a class.

`PBC_dataset_normal_DIB/<class>/<PREFIX>_<n>.jpg`. Which blood sample a cell comes from is
not given, so every image is its own group; the audit finds the byte-identical pairs.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

CLASSES = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
LAYOUT = f"class folders {', '.join(CLASSES)} with cell pictures"


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a cell, grouped by itself; hidden junk such as `.DS_169665.jpg` is left out."""
    found = ImportedRecords()
    for path in files.images(root, found):
        pure = PurePosixPath(path)
        label = pure.parent.name.casefold()
        if label in CLASSES:
            found.add(path, label=label, group=f"{label}/{pure.stem}")
        else:
            found.leave_out(path, f"not in one of the class folders {', '.join(CLASSES)}")
    return found
