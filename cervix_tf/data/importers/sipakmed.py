"""SIPaKMeD: cell crops of five classes, cut from pictures of cell clusters.

`im_<Class>/im_<Class>/CROPPED/NNN_MM.bmp`: NNN is the cluster picture and starts at 001
in every class, so the group is class and NNN together. The outlines beside the
crops (`*_cyt.dat`, `*_nuc.dat`) are no images and are passed over; the cluster pictures
themselves are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

LAYOUT = "im_<Class>/im_<Class>/CROPPED/NNN_MM.bmp"
CLASSES = ("Dyskeratotic", "Koilocytotic", "Metaplastic", "Parabasal", "Superficial-Intermediate")
_CROP = re.compile(rf"(?:.*/)?im_({'|'.join(CLASSES)})/(?:.*/)?CROPPED/(\d+)_\d+\.\w+", re.IGNORECASE)
_CLUSTER = re.compile(rf"(?:.*/)?im_(?:{'|'.join(CLASSES)})/(?:[^/]+/)?\d+\.\w+", re.IGNORECASE)
_SPELLING = {name.casefold(): name for name in CLASSES}


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a crop, labeled with its class, grouped by class and cluster picture."""
    found = ImportedRecords()
    for path in files.images(root, found):
        if match := _CROP.fullmatch(path):
            label = _SPELLING[match[1].casefold()]
            found.add(path, label=label, group=f"{label} {int(match[2]):03d}")
        elif _CLUSTER.fullmatch(path):
            found.leave_out(path, "picture of a whole cluster; its cells are in CROPPED")
        else:
            found.leave_out(path, f"not at {LAYOUT}")
    return found
