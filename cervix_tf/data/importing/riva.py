"""What both copies of RIVA share: eight classes, and fields called `<class of the smear>_<smear>_<field>`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

CLASSES = ("NILM", "ENDO", "INFL", "ASC-US", "LSIL", "HSIL", "ASC-H", "SCC")
"""In the order of the challenge's class numbers."""
LABELS = {name.replace("-", ""): name for name in CLASSES}
"""Class as the data set writes it -> label."""
_FIELD = re.compile(r"(.+_\d+)_\d+")


def group(field: str) -> str:
    """The smear of a field by its name without ending, `HSIL_11` of `HSIL_11_5`; the field itself if none is named."""
    match = _FIELD.fullmatch(field)
    return f"smear {match[1]}" if match else f"field {field}"


def notes(fields: Iterable[str]) -> list[str]:
    """What there is to say about groups of the fields of these file names."""
    smears = {group(PurePosixPath(field).stem) for field in fields}
    nameless = sum(smear.startswith("field ") for smear in smears)
    said = [
        f"{len(smears) - nameless} smears by the fields' names without their last number; whether a woman has several "
        "is not stated"
    ]
    if nameless:
        said.append(
            f"{nameless} fields are not named <class>_<smear>_<field>: each is a group of its own, which may leak"
        )
    return said
