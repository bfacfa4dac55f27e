"""IEEE DataPort cervigrams: visits of seven images, a folder a visit.

`<train or test>/<class>/<visit>/<seven images>`. The names of the two outer folders and of
the class folders are options, because they could not be checked against the original:
`train_folder`, `test_folder`, and `labels` (class folder -> class) beside the spellings
that are understood anyway (0 to 3, `Type 0`, `class_1`, normal, CIN1, CIN2/3, cancer).
Without train and test folders the split stays empty.

Sorted by name, a visit's images are five after acetic acid, one through the green
lens, one after iodine (sec. 3.1), unless their names say otherwise (see `views`). Visits for
which that is not so are told in an override table, columns visit (folder relative to the
root, or its name where only one visit has it), file, view; files of such a visit that it does not list take the views
that are left, by the same rule. An empty view leaves the file out.

The visit is the case and the group. Source: Buiu et al. 2020, sec. 3.1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from cervix_tf.data import names, views
from cervix_tf.data.importers import Options
from cervix_tf.data.importing import files, labels, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")
LAYOUT = "<train or test>/<class: 0 to 3>/<visit>/<seven images>"
_CLASSES = {
    "0": "normal",
    "normal": "normal",
    "1": "cin1",
    "cin1": "cin1",
    "2": "cin2_3",
    "cin2": "cin2_3",
    "cin3": "cin2_3",
    "cin23": "cin2_3",
    "cin2cin3": "cin2_3",
    "3": "cancer",
    "cancer": "cancer",
}


def read(root: Path, options: Options) -> ImportedRecords:
    """Seven rows a visit.

    Raises `InputError` with one line for every visit that has not exactly seven images
    and no override, for every override line that fits nothing, and where `labels` names no folder.
    """
    found = ImportedRecords()
    visits: dict[str, list[str]] = defaultdict(list)
    classes: dict[str, str] = {}
    outer: set[str] = set()
    torn: dict[str, str] = {}
    for path in files.images(root, found):
        pure = PurePosixPath(path)
        folders = pure.parts[:-1]
        outer.update(folders[:-1])
        named = [label for part in reversed(folders[:-1]) if (label := _class(part, options))]
        if not named:
            found.leave_out(path, f"not at {LAYOUT}")
            continue
        visit = pure.parent.as_posix()
        visits[visit].append(pure.name)
        classes[visit] = named[0]
        if len(set(named)) > 1:
            torn[visit] = f"{root / visit}: is in folders of two classes ({' and '.join(dict.fromkeys(named))})"
    labels.check(options.labels, outer, root)
    overrides = _overrides(options.overrides, visits) if options.overrides else {}
    problems = [f"{problem}; name only one of them after a class" for _, problem in sorted(torn.items())]
    for visit in sorted(visits):
        try:
            views_of = _views(visits[visit], overrides.get(visit, {}), str(root / visit))
        except InputError as error:
            problems.append(f"{error}; or name each file's view in an override table (--overrides)")
            continue
        for name in sorted(visits[visit], key=lambda name: (names.natural(name), name)):
            if views_of[name]:
                found.add(
                    f"{visit}/{name}",
                    label=classes[visit],
                    group=visit,
                    case=visit,
                    view=views_of[name],
                    split=_split(visit, options),
                )
            else:
                found.leave_out(f"{visit}/{name}", "left out by the override table")
    tables.refuse(problems, str(root))
    if overrides:
        found.notes.append(f"{len(overrides)} visits take their views from {options.overrides}")
    if found.records and not any(record["split"] for record in found.records):
        found.notes.append(f"no folder {options.train_folder} or {options.test_folder}: the split stays empty")
    return found


def _class(folder: str, options: Options) -> str:
    if folder in options.labels:
        return options.labels[folder]
    plain = re.sub(r"[^a-z0-9]", "", folder.casefold())
    return _CLASSES.get(re.sub(r"^(type|class|label)", "", plain), "")


def _split(visit: str, options: Options) -> str:
    inside = f"/{visit}/".casefold()
    for split, folder in (("train", options.train_folder), ("test", options.test_folder)):
        if f"/{folder.strip('/')}/".casefold() in inside:
            return split
    return ""


def _views(files: list[str], told: dict[str, str], where: str) -> dict[str, str]:
    """File -> view; raises `InputError` when the number of files does not fit, or their names leave it open."""
    free = [name for name in files if name not in told]
    left = [view for view in VIEWS if view not in told.values()]
    if free and len(free) != len(left):
        raise InputError(
            f"{where}: {len(files)} images, a visit has {len(VIEWS)} (five after acetic acid, green lens, iodine); "
            "complete the folder"
        )
    return told | (views.assign(free, left, where) if free else {})


def _overrides(path: Path, visits: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    by_name: dict[str, list[str]] = defaultdict(list)
    for visit in sorted(visits):
        by_name[PurePosixPath(visit).name].append(visit)
    told: dict[str, dict[str, str]] = defaultdict(dict)
    problems: list[str] = []
    for row in tables.read(path, ["visit", "file", "view"]):
        where = row.where
        name, file, view = row["visit"].replace("\\", "/").strip("/"), row["file"], row["view"]
        fits = [name] if name in visits else by_name.get(name, [])
        if len(fits) != 1:
            why = f"fits {', '.join(fits)}: give the folder relative to the root" if fits else "no such visit folder"
            problems.append(f"{where}: visit {name!r}: {why}")
            continue
        here = told[fits[0]]
        if file not in visits[fits[0]]:
            problems.append(f"{where}: file {file!r}: not in {fits[0]}, which has {', '.join(sorted(visits[fits[0]]))}")
        elif file in here:
            problems.append(f"{where}: file {file!r}: has a view already; keep one line a file")
        elif view and view not in VIEWS:
            problems.append(
                f"{where}: view {view!r}: is not one of {', '.join(VIEWS)}; leave it empty to leave the file out"
            )
        elif view and view in here.values():
            problems.append(f"{where}: view {view!r}: another file of {fits[0]} has it already; name each view once")
        else:
            here[file] = view
    tables.refuse(problems, str(path))
    return dict(told)
