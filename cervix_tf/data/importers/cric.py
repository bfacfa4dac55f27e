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

import filecmp
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cervix_tf import atomic, durable
from cervix_tf.data import names, plain_file, png
from cervix_tf.data.importers import FLAT_COPIES, Options
from cervix_tf.data.importers.cric_crops import CLASSES
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError

LAYOUT = "fields <hash>.png and classifications.csv or classifications.json"
FRAMES = ((1376, 1020), (1388, 1040))
"""(width, height) of a published field, and of the camera's frame; both have the table's origin."""
_MOST_BYTES = 2**28
_COLUMNS = ("image_id", "image_filename", "cell_id", "bethesda_system", "nucleus_x", "nucleus_y")
_LABELS = {name.casefold(): name for name in CLASSES} | {
    "negative for intraepithelial lesion": "NILM",
    "negative for intraepithelial lesion or malignancy": "NILM",
}


@dataclass(frozen=True)
class Cell:
    """One classified nucleus; x and y in pixels of the published field."""

    field: int
    filename: str
    number: int
    label: str
    x: float
    y: float

    @property
    def crop(self) -> str:
        """Where its crop goes, relative to the folder of crops."""
        return f"{self.label}/{self.field}_{self.number}.png"


def read(root: Path, options: Options) -> ImportedRecords:
    """One row a cell whose field is there; writes the crops.

    Raises `InputError` without the option `crops`.
    """
    found = ImportedRecords()
    paths = files.images(root, found)
    by_field = cells(root)
    if options.crops is None:
        raise InputError(f"{root}: CRIC's cells have to be cut out of its fields; name a folder with the option crops")
    if options.crop_size < 1:
        raise InputError(f"crop_size {options.crop_size}: give the side of a crop in pixels, 1 or more")
    atomic.claim(options.crops, [cell.crop for here in by_field.values() for cell in here])
    found.root = options.crops
    on_disk: dict[str, str] = {}
    for path in paths:
        if (root / path).resolve().is_relative_to(options.crops.resolve()):
            continue  # crops of an earlier import
        first = on_disk.setdefault(names.fold(PurePosixPath(path).name), path)
        if first != path and not filecmp.cmp(root / first, root / path, shallow=False):
            raise InputError(f"{root / first} and {root / path}: two pictures of one name; move one away")
        if first != path:
            found.leave_out(path, f"copy of {first}")
    scaled = 0
    for filename in sorted(by_field):
        here = by_field[filename]
        path = on_disk.pop(names.fold(filename), "")
        pixels = decoded(root / path) if path else None
        if pixels is None:
            what = "cannot be decoded" if path else "is not in this copy"
            found.leave_out(path or filename, f"field {what}, and with it {len(here)} cells")
            continue
        scaled += pixels.shape[1::-1] not in FRAMES
        for cell in here:
            crop = cut(pixels, cell.x, cell.y, options.crop_size)
            if crop is None:
                found.leave_out(f"{path} cell {cell.number}", f"nucleus ({cell.x:g}, {cell.y:g}) is outside the field")
                continue
            png.write(options.crops / cell.crop, crop[..., ::-1], synced=False)
            found.add(cell.crop, label=cell.label, group=f"field {cell.field}")
    for path in sorted(on_disk.values()):
        found.leave_out(path, "no cell of this picture is in the table of nuclei")
    if scaled:
        found.notes.append(f"{scaled} fields were resized: the nuclei's coordinates were scaled to them")
    durable.sync(options.crops)
    found.records.sort(key=lambda record: str(record["path"]))
    return found


def cut(field: np.ndarray, x: float, y: float, size: int) -> np.ndarray | None:
    """The `size` x `size` square of `field` around a point of the table; None when the point is outside."""
    import cv2

    height, width = field.shape[:2]
    whole_width, whole_height = min(FRAMES, key=lambda frame: abs(frame[0] / frame[1] - width / height))
    column, row = round(x * width / whole_width), round(y * height / whole_height)
    if not (0 <= column < width and 0 <= row < height):
        return None
    left, top = column - size // 2, row - size // 2
    right, bottom = left + size, top + size
    inside = field[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    return cv2.copyMakeBorder(
        inside,
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_REPLICATE,
    )


def decoded(path: Path) -> np.ndarray | None:
    """Pixels (height, width, 3) uint8, blue first, or None when the file cannot be read as an image."""
    from cervix_tf.data import images

    try:
        return images.decode_file(path)[..., ::-1]
    except images.UnreadableImage:
        return None


def cells(root: Path) -> dict[str, list[Cell]]:
    """The table's cells by field file, in the order of image_id and cell_id.

    Raises `InputError` with one line for each cell whose class or numbers are wrong or
    whose cell_id stands there twice.
    """
    path = tables.find(root, ["classifications.csv", "classifications.json"])
    if path is None:
        raise InputError(
            f"{root}: no classifications.csv or classifications.json here or one folder down; looked for {LAYOUT}. "
            f"{FLAT_COPIES}"
        )
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    problems: list[str] = []
    seen: set[tuple[int, int]] = set()
    by_field: dict[str, list[Cell]] = defaultdict(list)
    for where, entry in entries:
        label = _LABELS.get(entry["bethesda_system"].strip().casefold(), "")
        if not label:
            problems.append(f"{where}: bethesda_system {entry['bethesda_system']!r} is none of {', '.join(CLASSES)}")
        wrong = [name for name in ("image_id", "cell_id") if not re.fullmatch(r"\d{1,18}", entry[name])]
        wrong += [name for name in ("nucleus_x", "nucleus_y") if not re.fullmatch(r"-?\d{1,9}(\.\d+)?", entry[name])]
        problems += [f"{where}: {name} {entry[name]!r} is not a number; fix it" for name in wrong]
        if not label or wrong:
            continue
        cell = Cell(
            int(entry["image_id"]),
            entry["image_filename"],
            int(entry["cell_id"]),
            label,
            float(entry["nucleus_x"]),
            float(entry["nucleus_y"]),
        )
        if (cell.field, cell.number) in seen:
            problems.append(f"{where}: cell_id {cell.number} of image_id {cell.field} stands there twice; keep one")
        seen.add((cell.field, cell.number))
        by_field[cell.filename].append(cell)
    tables.refuse(problems, str(path))
    return {name: sorted(here, key=lambda cell: (cell.field, cell.number)) for name, here in by_field.items()}


def _from_csv(path: Path) -> list[tuple[str, dict[str, str]]]:
    return [(row.where, {name: row[name] for name in _COLUMNS}) for row in tables.read(path, _COLUMNS)]


def _from_json(path: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        with plain_file.opened(path, _MOST_BYTES) as file:
            fields = json.loads(file.read(_MOST_BYTES).decode("utf-8-sig"))
        if not isinstance(fields, list):
            raise InputError(f"{path}: holds no list of fields; download the file again")
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
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; download the file again") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: not JSON ({error.msg}); download the file again") from None
    except KeyError as error:
        raise InputError(f"{path}: a field or cell lacks {error}; download the file again") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no table of fields and cells ({error}); download the file again") from None
