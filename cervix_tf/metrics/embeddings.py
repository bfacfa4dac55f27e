"""embeddings.npz: what an embedding network makes of every image, the seam between such networks and their measures.

A NumPy archive: `values` (images, features) float32, `classes`, and one array (images,)
of each of `COLUMNS`, as in the manifest; the id is the image's path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix_tf import atomic, bounded
from cervix_tf.errors import InputError

COLUMNS = ("id", "group", "case", "view", "site", "age", "label", "split")


@dataclass(frozen=True)
class Embeddings:
    """Feature vectors and what is known of their images, one row per image.

    Raises `InputError` for a vector that is not finite: no distance to it means anything.
    """

    table: pd.DataFrame
    """`COLUMNS` (str, "" = empty; age float, NaN = empty)."""
    values: NDArray[np.float32]
    """(images, features)."""
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        broken = np.flatnonzero(~np.isfinite(self.values).all(axis=1))
        if len(broken):
            raise InputError(
                f"the embeddings of {len(broken)} of {len(self)} images hold NaN or infinite values (the first: "
                f"{self.table['id'].iloc[broken[0]]}): the network's training diverged; train it again with a lower "
                "learning rate"
            )

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Classes as indices into `classes`, (images,); -1 = unlabeled."""
        index = {name: at for at, name in enumerate(self.classes)}
        return np.array([index.get(label, -1) for label in self.table["label"]], dtype=np.int64)

    def part(self, split: str) -> Embeddings:
        """The images whose `split` is `split`, in order."""
        keep = (self.table["split"] == split).to_numpy()
        return Embeddings(self.table[keep].reset_index(drop=True), self.values[keep], self.classes)

    def of(self, ids: Iterable[str]) -> Embeddings:
        """The images of these ids, all of which are there, in this order."""
        at = pd.Index(self.table["id"]).get_indexer(pd.Index(list(ids)))
        if (at < 0).any():
            raise KeyError("an id is not among the embeddings")
        return Embeddings(self.table.iloc[at].reset_index(drop=True), self.values[at], self.classes)

    def at_most(self, count: int, seed: int) -> Embeddings:
        """So many of the images, drawn at random, in order; all where there are no more."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        return Embeddings(self.table.iloc[chosen].reset_index(drop=True), self.values[chosen], self.classes)


def write(embeddings: Embeddings, path: Path) -> None:
    """Write the archive, whole or not at all."""
    columns = {name: embeddings.table[name].to_numpy(np.float64 if name == "age" else np.str_) for name in COLUMNS}
    with atomic.replacing(path) as part:
        np.savez(part, allow_pickle=False, values=embeddings.values, classes=np.array(embeddings.classes), **columns)


def read(path: Path) -> Embeddings:
    """The embeddings in a file that `write` wrote.

    Raises `InputError` when it is missing, damaged or another kind of file.
    """
    try:
        values, names, *columns = bounded.arrays(path, ("values", "classes", *COLUMNS), bounded.MODEL_BYTES)
        described = dict(zip(COLUMNS, columns, strict=True))
        table = pd.DataFrame(
            {name: column.astype(np.float64 if name == "age" else object) for name, column in described.items()}
        )
        classes = tuple(map(str, names))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: has this row finished?") from None
    except (ValueError, TypeError) as error:  # `bounded.Unreadable` is such
        raise InputError(f"{path}: not embeddings ({error}); remove the file and run the row again") from None
    if len(values) != len(table):
        raise InputError(f"{path}: {len(values)} vectors of {len(table)} images; remove the file and run the row again")
    return Embeddings(table, values, classes)
