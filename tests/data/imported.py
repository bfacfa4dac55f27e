"""What tests of importers share: a small picture in a layout, and the manifest that an importer makes of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cervix_tf.data.importers import Options, load


def picture(path: Path, width: int = 5, height: int = 4, gray: int = 100) -> Path:
    """Write one of a single gray, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), gray, np.uint8))
    return path


def rows(name: str, root: Path, options: Options | None = None) -> dict[str, dict[str, object]]:
    """Path -> the row of the manifest."""
    table = load(name, root, options).manifest.rows
    return {row["path"]: row for row in table.to_dict("records")}
