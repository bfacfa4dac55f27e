"""CRIC Cervix as published: whole fields and a table of nuclei; cells are cut out here.

Fields `<hash>.png` anywhere below the root, and `classifications.csv` (image_id,
image_filename, image_doi, cell_id, bethesda_system, nucleus_x, nucleus_y) or
`classifications.json` with the same facts nested per field. The points are centers of
nuclei, in pixels of the published 1376 x 1020 fields, and are scaled to a field of
another size. Copies are also made from the camera's whole 1388 x 1040 frames, whose
upper left 1376 x 1020 pixels are the published field; a field is taken for the one or
the other by its ratio of width to height. (In four re-encoded 1280 x 960 fields, 52
nuclei are found on the darkest spots with the scale 1280 / 1388, not with 1280 / 1376.)

Each cell becomes a PNG square of `crop_size` pixels around its nucleus, at
`<class>/<image_id>_<cell_id>.png` in the folder `crops`; beyond the field's border its
outermost pixels go on (a mirror image would show nuclei twice). The manifest is that
of the crops; the group is the field.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from cervix_tf.data.importers import Options
from cervix_tf.data.importers.cric_crops import CLASSES
from cervix_tf.data.importing import crops, json_file, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

LAYOUT = "fields <hash>.png and classifications.csv or classifications.json"
FRAMES = ((1376, 1020), (1388, 1040))
"""(width, height) of a published field, and of the camera's frame; both have the table's origin."""
_COLUMNS = ("image_id", "image_filename", "cell_id", "bethesda_system", "nucleus_x", "nucleus_y")
_LABELS = {name.casefold(): name for name in CLASSES} | {
    "negative for intraepithelial lesion": "NILM",
    "negative for intraepithelial lesion or malignancy": "NILM",
}


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a cell whose field is there; writes the crops.

    Raises `InputError` without the option `crops`.
    """
    crops.check_size(options.crop_size)
    found = ImportedRecords()

    def box(cell: crops.Cell, width: int, height: int) -> crops.Box:
        whole_width, whole_height = min(FRAMES, key=lambda frame: abs(frame[0] / frame[1] - width / height))
        return crops.square(cell.x * width / whole_width, cell.y * height / whole_height, options.crop_size)

    sizes = crops.cut_out(root, options.crops, cells(root), found, box)
    scaled = sum(size not in FRAMES for size in sizes.values())
    if scaled:
        found.notes.append(f"{scaled} fields were resized: the nuclei's coordinates were scaled to them")
    return found


def cells(root: Path) -> dict[str, list[crops.Cell]]:
    """The table's cells by field file, in the order of image_id and cell_id.

    Raises `InputError` with one line for each cell whose class or numbers are wrong or
    whose cell_id stands there twice.
    """
    path = tables.find(root, ["classifications.csv", "classifications.json"])
    if path is None:
        raise InputError(
            f"{root}: no classifications.csv or classifications.json here or one folder down; looked for {LAYOUT}; "
            "import ready-made crops in class folders with `import cric_crops`"
        )
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    problems: list[str] = []
    by_field: dict[str, dict[tuple[int, int], crops.Cell]] = defaultdict(dict)
    seen: set[tuple[int, int]] = set()
    for where, entry in entries:
        label = _LABELS.get(entry["bethesda_system"].strip().casefold(), "")
        if not label:
            problems.append(f"{where}: bethesda_system {entry['bethesda_system']!r} is not one of {', '.join(CLASSES)}")
        wrong = [name for name in ("image_id", "cell_id") if not re.fullmatch(r"\d{1,18}", entry[name])]
        wrong += [name for name in ("nucleus_x", "nucleus_y") if not re.fullmatch(r"-?\d{1,9}(\.\d+)?", entry[name])]
        problems += [f"{where}: {name} {entry[name]!r} is not a number; fix it" for name in wrong]
        if not label or wrong:
            continue
        field, number = int(entry["image_id"]), int(entry["cell_id"])
        if (field, number) in seen:
            problems.append(f"{where}: cell_id {number} of image_id {field} occurs twice; keep one")
        seen.add((field, number))
        by_field[entry["image_filename"]][field, number] = crops.Cell(
            crop=f"{label}/{field}_{number}.png",
            name=f"cell {number}",
            label=label,
            group=f"field {field}",
            x=float(entry["nucleus_x"]),
            y=float(entry["nucleus_y"]),
        )
    tables.refuse(problems, str(path))
    return {name: [here[key] for key in sorted(here)] for name, here in by_field.items()}


def _from_csv(path: Path) -> list[tuple[str, dict[str, str]]]:
    return [(row.where, {name: row[name] for name in _COLUMNS}) for row in tables.read(path, _COLUMNS)]


def _from_json(path: Path) -> list[tuple[str, dict[str, str]]]:
    fields = json_file.read(path)
    if not isinstance(fields, list):
        raise InputError(f"{path}: contains no list of fields; download the file again")
    try:
        return [
            (
                f"{path}: image_id {field['image_id']}",
                {
                    "image_id": str(field["image_id"]),
                    "image_filename": str(field.get("image_filename", field.get("image_name", ""))),
                    **{name: str(cell[name]) for name in _COLUMNS[2:]},
                },
            )
            for field in fields
            for cell in field["classifications"]
        ]
    except KeyError as error:
        raise InputError(f"{path}: a field or cell lacks {error}; download the file again") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a table of fields and cells ({error}); download the file again") from None
