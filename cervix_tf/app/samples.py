"""A drawing of what each view of a visit shows: no photograph, so no woman's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_SEED, _SHAPE, _QUALITY = 3, (192, 256), 85


def write(views: Sequence[str], folder: Path) -> dict[str, str]:
    """View -> the file of its drawing in `folder`; views that the project draws none of have none."""
    from cervix_tf.data.synthetic import colposcopy

    known = [view for view in views if view in colposcopy.VIEWS]
    if not known:
        return {}
    import cv2

    drawn = colposcopy.draw(_SEED, 0, "normal", _SHAPE).images
    (folder / "samples").mkdir()
    files = {view: f"samples/{view}.jpg" for view in known}
    for view, file in files.items():
        jpeg = cv2.imencode(".jpg", drawn[view][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        (folder / file).write_bytes(jpeg.tobytes())
    return files
