"""A small folder of images, its manifest, and how the commands of `cervix_tf.data` refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data import manifest as manifests
from cervix_tf.data.__main__ import main

Picture = Callable[..., np.ndarray]


@pytest.fixture
def root(tmp_path: Path, picture: Picture) -> Path:
    """Two class folders of ten images each, all different."""
    folder = tmp_path / "images"
    for seed in range(20):
        file = folder / ("abnormal" if seed % 2 else "normal") / f"{seed:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture(seed, 48, 64))
    return folder


@pytest.fixture
def manifest(root: Path) -> Path:
    """A manifest in the data root, two images per group."""
    records = [
        {
            "path": path.relative_to(root).as_posix(),
            "label": path.parent.name,
            "group": f"g{int(path.stem) // 4}",
        }
        for path in sorted(root.rglob("*.png"))
    ]
    manifests.write(manifests.from_records(records, root), root / "manifest.csv")
    return root / "manifest.csv"


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    return capsys.readouterr().err
