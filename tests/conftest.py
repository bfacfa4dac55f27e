"""What every test shares: a CPU-only environment, calm property tests, real images if they are there."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

# Before anything imports TensorFlow.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

_REAL_DATA = "CERVIX_TF_REAL_DATA"
_LONGEST = (
    "federated/flower/test_flower_deployment.py",
    "experiments/test_mobilenetv2_ensemble_run.py",
    "models/test_backbones.py",
    "experiments/test_federated_ssl_paper.py",
    "experiments/test_federated_ssl_run.py",
    "experiments/test_metric_learning_run.py",
    "export/test_decisions.py",
    "models/test_zoo.py",
    "docs/test_documentation.py",
    "training/test_other_backends.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: one of them begun last would leave the other processes idle."""
    rank = {Path(__file__).parent / file: at for at, file in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules of all test files, which it would look through every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images, one subfolder a data set; the test skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get(_REAL_DATA, beside))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; set {_REAL_DATA} to their folder")
    return folder


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """picture(seed, height=96, width=128): smooth random colors, (height, width, 3) uint8."""

    def draw(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
        import cv2

        coarse = np.random.default_rng(seed).uniform(40, 200, (7, 9, 3)).astype(np.float32)
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(np.rint(fine), 0, 255).astype(np.uint8)

    return draw
