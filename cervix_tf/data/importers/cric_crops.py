"""CRIC Cervix as ready cell crops: a folder a Bethesda class.

`<class>/<image_id>_<cell_id>.<ext>`. The group is the field that the cell was cut
from, `image_id`.
"""

from __future__ import annotations

import re
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

CLASSES = ("ASC-H", "ASC-US", "SCC", "HSIL", "LSIL", "NILM")
LAYOUT = f"class folders {', '.join(CLASSES)} with crops <image_id>_<cell_id>.png or .jpg"
_CROP = re.compile(rf"(?:.*/)?({'|'.join(CLASSES)})/(\d+)_\d+\.\w+", re.IGNORECASE)


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a crop, labeled with its class, grouped by field."""
    found = ImportedRecords()
    for path in files.images(root, found):
        if match := _CROP.fullmatch(path):
            found.add(path, label=match[1].upper(), group=f"field {int(match[2])}")
        else:
            found.leave_out(path, "not at <class>/<image_id>_<cell_id>")
    return found
