"""Pictures that the program draws, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cervix_tf import atomic


def write(path: Path, pixels: np.ndarray, *, synced: bool = True) -> None:
    """Write (height, width, 3) uint8, red first, as a PNG file, whole or not at all.

    Not by OpenCV's own `imwrite`, which returns False on a full disk and leaves half a picture. `synced`: as in
    `cervix_tf.atomic.replacing`.
    """
    import cv2

    done, data = cv2.imencode(".png", pixels[..., ::-1])
    if not done:
        raise ValueError(f"{path}: OpenCV cannot make a PNG of {pixels.dtype} {pixels.shape}")
    with atomic.replacing(path, synced=synced) as part:
        part.write_bytes(data.tobytes())
