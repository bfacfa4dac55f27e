"""RIVA as published on Zenodo: fields of conventional smears, and points on cells by up to four experts.

Fields `<name>.png` anywhere below the root, and `annotations.json`: field name -> `annotator_N` -> a list of points (x
and y in percent of the field's width and height, keypointlabels), as public code reads the download (folders
`riva_1.0/images` and `riva_1.0/annotations`). The experts worked apart, and the file holds no common label: where
several marked a field, the option `annotator` says whose points count. The boxes of the challenge (`riva_challenge`)
are a consensus.

Each point becomes a PNG square of `crop_size` pixels around it. The name of a field begins with its smear, which is the
group. Never tried on the original download.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importing import crops, json_file, riva, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

CLASSES = riva.CLASSES
LAYOUT = "fields <class>_<smear>_<field>.png and annotations.json"
_MOST_PERCENT = 1_000_000


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a point of the expert chosen, labeled with its class, grouped by smear; writes the crops.

    Raises `InputError` without the option `crops`, without `annotator` where it is needed, and with one line for each
    point whose class or place is wrong.
    """
    crops.check_size(options.crop_size)
    found = ImportedRecords()

    def box(cell: crops.Cell, width: int, height: int) -> crops.Box:
        return crops.square(_pixel(cell.x, width), _pixel(cell.y, height), options.crop_size)

    sizes = crops.cut_out(root, options.crops, _cells(root, options, found), found, box, lambda path: path.stem)
    found.notes += riva.notes(sizes)
    return found


def _pixel(percent: float, size: int) -> int:
    """The pixel that holds a point; the last one holds the border."""
    pixel = math.floor(percent / 100 * size)
    return min(pixel, size - 1) if percent <= 100 else pixel


def _cells(root: Path, options: Options, found: ImportedRecords) -> dict[str, list[crops.Cell]]:
    """The cells by field name."""
    path = tables.find(root, ["annotations.json"], depth=2)
    if path is None:
        raise InputError(f"{root}: no annotations.json here or up to two folders down; looked for {LAYOUT}")
    cells: dict[str, list[crops.Cell]] = {}
    problems: list[str] = []
    for field, (expert, points) in _chosen(path, options.annotator, found).items():
        cells[field] = []
        for at, point in enumerate(points, 1):
            place = f"{path}: field {field}, {expert}, point {at}"
            cell = _cell(field, expert, at, point)
            if isinstance(cell, str):
                problems.append(f"{place}: {cell}; download the file again")
            else:
                cells[field].append(cell)
    tables.refuse(problems, str(path))
    return cells


def _chosen(path: Path, annotator: str, found: ImportedRecords) -> dict[str, tuple[str, list[object]]]:
    """Field -> the expert whose points count there, and these; a field without any is left out."""
    fields = {field: _experts(path, field, content) for field, content in _content(path).items()}
    everyone = sorted({expert for experts in fields.values() for expert in experts})
    if annotator and annotator not in everyone:
        raise InputError(f"--annotator {annotator}: {path} names {', '.join(everyone) or 'nobody'}; choose one of them")
    several = [field for field, experts in fields.items() if len(experts) > 1]
    if several and not annotator:
        raise InputError(
            f"{path}: {len(several)} fields were marked by several experts (field {several[0]} by "
            f"{', '.join(fields[several[0]])}), and the file has no common label; say whose points count there with "
            "--annotator"
        )
    chosen: dict[str, tuple[str, list[object]]] = {}
    for field, experts in fields.items():
        if annotator in experts:
            chosen[field] = annotator, experts[annotator]
        elif len(experts) == 1:
            chosen[field] = next(iter(experts.items()))
        else:
            found.leave_out(field, f"field that {annotator} did not mark" if experts else "field that no expert marked")
    others = sum(expert != annotator for expert, _ in chosen.values())
    if annotator:
        found.notes.append(
            f"labels are those of one expert: {annotator}'s in {len(chosen) - others} fields, in {others} those of the "
            "only expert who marked the field"
        )
    return chosen


def _content(path: Path) -> Mapping[str, object]:
    content = json_file.read(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: contains no fields by name; download the file again")
    return content


def _experts(path: Path, field: str, content: object) -> dict[str, list[object]]:
    """Expert -> that expert's points in the field."""
    if not isinstance(content, dict):
        raise InputError(f"{path}: field {field}: contains no experts by name; download the file again")
    experts = {name: points for name, points in sorted(content.items()) if name.startswith("annotator_")}
    for name, points in experts.items():
        if not isinstance(points, list):
            raise InputError(f"{path}: field {field}, {name}: contains no list of points; download the file again")
    return experts


def _cell(field: str, expert: str, at: int, point: object) -> crops.Cell | str:
    """The cell of one point, or what is wrong with it."""
    if not isinstance(point, dict):
        return "is no point with x, y and keypointlabels"
    named = point.get("keypointlabels")
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    label = riva.LABELS.get(named.strip().upper(), "") if isinstance(named, str) else ""
    if not label:
        return f"keypointlabels {named!r} is not one of {', '.join(riva.LABELS)}"
    for name in ("x", "y"):
        value = point.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST_PERCENT:
            return f"{name} {value!r} is not a number of percent"
    return crops.Cell(
        crop=f"{label}/{field}_{expert}_{at}.png",
        name=f"{expert} point {at}",
        label=label,
        group=riva.group(field),
        x=float(point["x"]),
        y=float(point["y"]),
    )
