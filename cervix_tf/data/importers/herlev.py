"""Herlev (smear2005): single cells of seven classes.

`smear2005/New database pictures/<class>/AAAAAAAAA-BBBBBBBBB-CCC.BMP`; the class folders are
spelt as in the original (`normal_superficiel`). `*-d.bmp`, in any case, are masks and are
left out. No patient or smear is given. The first nine digits of a name are the group;
what they count is not documented (see the data sheet). A file without such a name is
its own group.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords

CLASSES = (
    "normal_superficiel",
    "normal_intermediate",
    "normal_columnar",
    "light_dysplastic",
    "moderate_dysplastic",
    "severe_dysplastic",
    "carcinoma_in_situ",
)
LAYOUT = f"class folders {', '.join(CLASSES)} with cell pictures"
_ORIGINAL = re.compile(r"(\d{9})-\d{9}-\d{3}")


def mask_of(picture: Path) -> Path | None:
    """The mask `<name>-d.bmp`, in any case, beside a cell's picture; None where there is none."""
    wanted = f"{picture.stem}-d.bmp".casefold()
    return next((path for path in sorted(picture.parent.iterdir()) if path.name.casefold() == wanted), None)


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a cell; masks are left out, files that lost their original name are counted in the notes."""
    found = ImportedRecords()
    nameless = 0
    for path in files.images(root, found):
        pure = PurePosixPath(path)
        label = pure.parent.name.casefold()
        if label not in CLASSES:
            found.leave_out(path, f"not in one of the class folders {', '.join(CLASSES)}")
        elif pure.stem.casefold().endswith("-d"):
            found.leave_out(path, "mask of the nucleus and cytoplasm, not a picture")
        elif match := _ORIGINAL.fullmatch(pure.stem):
            found.add(path, label=label, group=match[1])
        else:
            nameless += 1
            found.add(path, label=label, group=f"{label}/{pure.stem}")
    if nameless:
        found.notes.append(f"{nameless} files lost their original name; each is its own group, which may leak")
    return found
