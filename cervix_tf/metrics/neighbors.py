"""The part of a nearest-neighbor model that is no network: training embeddings, their classes and K, one file."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cervix_tf import atomic, bounded
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir

_ARRAYS = ("embeddings", "labels", "classes", "k")


@dataclass(frozen=True)
class Neighbors:
    """A fitted K-nearest-neighbor classifier of embeddings (Euclidean distance).

    Source: Pal et al. 2021, sec. III and IV-D.
    """

    embeddings: np.ndarray
    """(inputs, features) float32: what the network makes of the training inputs."""
    labels: np.ndarray
    """(inputs,) int32: indices into `classes`."""
    classes: tuple[str, ...]
    k: int
    """Neighbors that vote."""

    @functools.cached_property
    def digest(self) -> str:
        """64 hex digits that change with anything the answers depend on; a model's contract names them."""
        head = f"{self.embeddings.shape} {'/'.join(self.classes)} {self.k}".encode()
        return hashlib.sha256(head + self.embeddings.tobytes() + self.labels.tobytes()).hexdigest()

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """(batch, features) -> (batch, classes) float32: each class's share of the K nearest training inputs."""
        shares = np.zeros((len(embeddings), len(self.classes)), np.float32)
        shares[:, self._fitted.classes_] = self._fitted.predict_proba(np.asarray(embeddings, np.float32))
        return shares

    @functools.cached_property
    def _fitted(self) -> Any:
        from sklearn.neighbors import KNeighborsClassifier  # a second to import, so only where there are neighbors

        return KNeighborsClassifier(self.k, algorithm="brute").fit(self.embeddings, self.labels)


def fit(embeddings: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], k: int) -> Neighbors:
    """The fitted classifier of training embeddings, (inputs, features), and their class indices, (inputs,).

    Raises `InputError` unless there are at least `k` inputs, all of them labeled and finite.
    """
    values, of_row = np.ascontiguousarray(embeddings, np.float32), np.ascontiguousarray(labels, np.int32)
    if values.ndim != 2 or of_row.shape != values.shape[:1]:
        raise ValueError(f"embeddings {values.shape} and labels {of_row.shape} do not belong together")
    if not 1 <= k <= len(values):
        raise InputError(f"{k} nearest neighbors of {len(values)} training inputs: K must be 1 to {len(values)}")
    if not np.isfinite(values).all():
        raise InputError("an embedding is not finite: did the training diverge? lower its learning rate")
    if of_row.min() < 0 or of_row.max() >= len(classes):
        raise InputError(f"a training input has none of the classes {', '.join(classes)}; label it or leave it out")
    return Neighbors(values, of_row, tuple(classes), k)


def beside(model: Path) -> Path:
    """Where the neighbors of an exported model lie: in the folder of the .tflite file or the SavedModel folder."""
    return RunDir(model.resolve().parent).neighbors


def write(neighbors: Neighbors, path: Path) -> None:
    """Write a NumPy archive of `embeddings`, `labels`, `classes` and `k`, whole or not at all."""
    arrays = {name: np.asarray(getattr(neighbors, name)) for name in _ARRAYS}
    with atomic.replacing(path) as part:
        np.savez(part, allow_pickle=False, **arrays)


def read(path: Path, digest: str = "") -> Neighbors:
    """The neighbors in a file that `write` wrote; with `digest`, only if they are the ones of that digest.

    Raises `InputError` when the file is missing, damaged, or belongs to another model.
    """
    path = Path(path)
    try:
        embeddings, labels, classes, k = bounded.arrays(path, _ARRAYS, bounded.MODEL_BYTES)
        found = fit(embeddings, labels, tuple(map(str, classes)), int(k))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; this model gives embeddings and needs its neighbors beside it: "
            "copy that file from the run too"
        ) from None
    except (ValueError, TypeError, OverflowError) as error:  # `bounded.Unreadable` is such
        raise InputError(f"{path}: not the neighbors of a model ({error}); copy the file again") from None
    if digest and found.digest != digest:
        raise InputError(f"{path}: belongs to another model than the one beside it; copy both from the same run")
    return found
