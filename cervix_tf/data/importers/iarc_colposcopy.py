"""IARC colposcopy image bank: cases of one to nine images, typed and diagnosed in two tables.

Label, one of normal, cin1, cin2_3, cancer: the first rule of `RULES` that matches
`Histopathology` decides; where that says `Not done` or matches no rule (a polyp, say),
the first rule that matches `Provisional diagnosis` does. A rule with an empty class
leaves the case unlabeled, and so does matching no rule.

View, by the type in the table of images, in the table's `Sort` order:

| type | view |
|---|---|
| After acetic acid; then the same with higher magnification | `acetic_1`, `acetic_2`, ... |
| After acetic acid with green filter | `green`, `green_2`, ... |
| After normal saline with green filter | `green_saline`, ...; in cases without the former `green`, ... |
| After Lugol's iodine | `iodine`, `iodine_2`, ... |
| After normal saline (with higher magnification) | `saline`, `saline_2`, ... |
| everything else, and files that the table lacks | `other_1`, `other_2`, ... |

A case is one woman, so it is the group too.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import iarc
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.wording import amount

LAYOUT = "folders Case NNN with images, a table of cases and a table of images (cases.csv, images.csv)"

RULES = (
    (r"tubercul", ""),
    (r"inadequate", ""),
    (r"in situ|\bais\b", "cin2_3"),  # adenocarcinoma in situ is treated as a high-grade precursor
    (r"carcinoma|cancer|suspicion of (early )?invasi", "cancer"),
    (r"cin ?-?[23]", "cin2_3"),
    (r"cin ?-?1", "cin1"),
    (r"\bva?in ?-?\d?\b", ""),  # vagina or vulva only: the cervix has no finding of its own
    (r"hsil|high-grade squamous", "cin2_3"),
    (r"lsil|low-grade squamous|hpv changes|papilloma ?virus|condyloma", "cin1"),
    (r"\bnormal|cervicitis|congenital transformation zone", "normal"),
)
"""(pattern, class), tried in order, case ignored."""


def read(root: Path, options: Options) -> ImportedRecords:
    """One row an image; notes say how many cases got their label from what, and which have none."""
    found = ImportedRecords()
    sources: Counter[str] = Counter()
    saline_green = few_acetic = 0
    for case in iarc.cases(
        root,
        found,
        meta_columns=["Histopathology", "Provisional diagnosis"],
        image_columns=["Sort", "Type"],
        case_column="Case Number",
    ):
        histology, diagnosis = (
            (case.meta["Histopathology"], case.meta["Provisional diagnosis"]) if case.meta else ("",) * 2
        )
        label, source = label_of(histology, diagnosis)
        if label:
            sources[source] += 1
        else:
            found.notes.append(f"{case.name}: unlabeled, no class fits {source}")
        views = views_of([kind for _, kind in case.images])
        types = [kind.casefold() for _, kind in case.images]
        saline_green += "green" in views and "saline" in types[views.index("green")]
        few_acetic += "acetic_1" in views and "acetic_5" not in views
        for (path, _), view in zip(case.images, views, strict=True):
            found.add(path, label=label, group=case.name, case=case.name, view=view)
    if found.records:
        found.notes += [
            "labels: " + ", ".join(f"{amount(n, 'case')} from {source}" for source, n in sorted(sources.items())),
            f"stand-in: in {saline_green} cases the green view was taken after saline, not after acetic acid",
            f"stand-in: {few_acetic} cases have one to four acetic images; a seven-view input repeats them",
        ]
    return found


def label_of(histology: str, diagnosis: str) -> tuple[str, str]:
    """(class or "", what decided): histopathology where it says something, else the provisional diagnosis."""
    for text, source in ((histology, "histopathology"), (diagnosis, "the provisional diagnosis")):
        for pattern, label in RULES:
            if re.search(pattern, text, re.IGNORECASE):
                return label, source if label else f"{source} {text!r}"
    return "", f"histopathology {histology!r}, provisional diagnosis {diagnosis!r}"


def views_of(types: list[str]) -> list[str]:
    """The view of each image of one case, given their types in `Sort` order."""
    lower = [re.sub(r"\s+", " ", text.strip().casefold()) for text in types]
    saline_filter = "after normal saline with green filter"
    has_green = "after acetic acid with green filter" in lower
    views = [""] * len(types)
    used: dict[str, int] = {}
    plain = [at for at, text in enumerate(lower) if text == "after acetic acid"]
    magnified = [at for at, text in enumerate(lower) if text == "after acetic acid with higher magnification"]
    for number, at in enumerate(plain + magnified, start=1):
        views[at] = f"acetic_{number}"
    others = 0
    for at, text in enumerate(lower):
        if views[at]:
            continue
        if text == "after acetic acid with green filter" or (text == saline_filter and not has_green):
            views[at] = iarc.numbered("green", used)
        elif text == saline_filter:
            views[at] = iarc.numbered("green_saline", used)
        elif text.startswith("after lugol"):
            views[at] = iarc.numbered("iodine", used)
        elif text in ("after normal saline", "after normal saline with higher magnification"):
            views[at] = iarc.numbered("saline", used)
        else:
            others += 1
            views[at] = f"other_{others}"
    return views
