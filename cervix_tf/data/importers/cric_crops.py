"""CRIC Cervix as ready cell crops: a folder a Bethesda class.

`<class>/<image_id>_<cell_id>.<ext>`, whose group is the field that the cell was cut from, `image_id`; a crop of
another name, such as one of a set that somebody else made, is its own group. Class folders may lack the hyphen
(`ASCUS`) or have another separator in its place.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

CLASSES = ("ASC-H", "ASC-US", "SCC", "HSIL", "LSIL", "NILM")
LAYOUT = f"class folders {', '.join(CLASSES)} with crops <image_id>_<cell_id>.png or .jpg"
_OF_FIELD = re.compile(r"(\d+)_\d+")
_SPELLING = {name.replace("-", ""): name for name in CLASSES}


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a crop, labeled with its class, grouped by field; those that name no field are counted in the notes."""
    found = ImportedRecords()
    nameless = 0
    for path in files.images(root, found):
        pure = PurePosixPath(path)
        label = _SPELLING.get(re.sub("[-_ ]", "", pure.parent.name).upper())
        if label is None:
            found.leave_out(path, f"not in one of the class folders {', '.join(CLASSES)}")
        elif match := _OF_FIELD.fullmatch(pure.stem):
            found.add(path, label=label, group=f"field {int(match[1])}")
        else:
            nameless += 1
            found.add(path, label=label, group=f"{label}/{pure.stem}")
    if nameless:
        found.notes.append(
            f"{nameless} crops are not named <image_id>_<cell_id>, so their field is not known: each is its own "
            "group, which leaks if a cell or its field occurs twice; --similar joins near-duplicates"
        )
    return found
