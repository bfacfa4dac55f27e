"""How well an embedding puts classes apart: K-precision, N-precision, class-wise kNN accuracy, the choice of K.

Neighbors are training images, by Euclidean distance; of equally near ones the first in
the training part comes first. For unit-length embeddings the order is that of the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.data.groups import groups_of
from cervix_tf.errors import InputError
from cervix_tf.metrics import intervals
from cervix_tf.metrics.embeddings import Embeddings

Array = NDArray[np.float64]

NEIGHBORS = (1, 3, 5)
"""K of Pal et al. 2021, Tables 2, 4 and 5."""

_DISTANCES = 128  # MiB of distances held at a time; ranking them takes three times as much


@dataclass(frozen=True)
class Retrieved:
    """What was found near each tested image."""

    labels: NDArray[np.int64]
    """True classes of the tested images, (images,)."""
    nearest: NDArray[np.int64]
    """Classes of each one's nearest training images, nearest first, (images, largest K)."""
    n_precision: Array
    """Share of an image's own class among its N nearest, N = the class's training images; in [0, 1], (images,).

    The paper does not say how far "nearest neighbors" reach; only N makes its "perfect model" have 1.

    Source: Pal et al. 2021, sec. IV-D1b.
    """

    def k_precision(self, k: int) -> Array:
        """Share of each image's own class among its K nearest training images, in [0, 1], (images,).

        An image whose class has fewer than K training images cannot have 1.

        Source: Pal et al. 2021, sec. IV-D1a.
        """
        return (self.nearest[:, :k] == self.labels[:, None]).mean(axis=1)

    def decisions(self, k: int) -> NDArray[np.int64]:
        """The class that most of the K nearest have, (images,); the first of equals, as in scikit-learn."""
        votes = self.nearest[:, :k, None] == np.arange(self.nearest.max() + 1)
        return votes.sum(axis=1).argmax(axis=1)


def retrieve(train: Embeddings, tested: Embeddings, neighbors: Sequence[int] = NEIGHBORS) -> Retrieved:
    """The nearest training images of every labeled tested image.

    Raises `InputError` when there are fewer training images than the largest K, a tested
    class has none, or nothing tested is labeled.
    """
    from sklearn.metrics import pairwise_distances_chunked

    known, of_train = train.labels >= 0, train.labels[train.labels >= 0]
    labels = tested.labels[tested.labels >= 0]
    largest = max(neighbors)
    if len(of_train) < largest or min(neighbors) < 1:
        raise InputError(
            f"K = {', '.join(map(str, neighbors))} of {len(of_train)} training images: K is 1 to that many"
        )
    if not len(labels):
        raise InputError(f"none of the {len(tested)} tested images has a label; these measures need the truth")
    if train.classes != tested.classes:
        raise InputError(f"training has the classes {', '.join(train.classes)}, test {', '.join(tested.classes)}")
    population = np.bincount(of_train, minlength=len(train.classes))
    if (absent := np.unique(labels[population[labels] == 0])).size:
        names = ", ".join(train.classes[at] for at in absent)
        raise InputError(f"no training image of {names}, but tested ones; N-precision needs some of each class")

    def reduced(distances: Array, start: int) -> tuple[NDArray[np.int64], Array]:
        ranked = of_train[np.argsort(distances, axis=1, kind="stable")]
        own = labels[start : start + len(ranked), None]
        within = np.arange(len(of_train)) < population[own]
        return ranked[:, :largest], ((ranked == own) & within).sum(axis=1) / population[own[:, 0]]

    values = tested.values[tested.labels >= 0]
    nearest, precision = zip(
        *pairwise_distances_chunked(values, train.values[known], reduce_func=reduced, working_memory=_DISTANCES),
        strict=True,
    )
    return Retrieved(labels, np.concatenate(nearest), np.concatenate(precision))


def choose_k(train: Embeddings, validation: Embeddings, neighbors: Sequence[int] = NEIGHBORS) -> int:
    """The K whose class-wise accuracies on the validation part have the highest mean; the smallest of equals.

    Source: Pal et al. 2021, sec. V-B and the caption of Table 4.
    """
    found = retrieve(train, validation, neighbors)

    def mean_accuracy(k: int) -> float:
        hits = found.decisions(k) == found.labels
        return float(np.mean([hits[found.labels == label].mean() for label in np.unique(found.labels)]))

    return max(sorted(neighbors), key=mean_accuracy)


def summary(
    train: Embeddings,
    tested: Embeddings,
    neighbors: Sequence[int] = NEIGHBORS,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Every measure as {value, low, high, n, method}: JSON, the numbers of Tables 2 to 6.

    `mean_k_precision` by K; `n_precision` by class, and `mean_n_precision`, the mean over
    classes; `class_accuracy` by K and class, and `mean_class_accuracy` by K. A class's
    accuracy has an exact binomial interval, and K-precision with K = 1, an accuracy, has
    Wilson's, where every image is a group of its own; everything else a bootstrap of the
    tested groups, training images held fixed.

    Raises `InputError` as `retrieve`.
    """
    found = retrieve(train, tested, neighbors)
    groups = groups_of(tested.table, "id").to_numpy(object)[tested.labels >= 0]
    present = np.unique(found.labels)
    # (images,) values and the images each is about; a name is a path of keys in the summary
    means: dict[tuple[str, ...], tuple[Array, NDArray[np.bool_]]] = {}
    everyone = np.ones(len(groups), dtype=bool)
    for k in neighbors:
        means["mean_k_precision", str(k)] = found.k_precision(k), everyone
    for label in present:
        name, of_class = tested.classes[label], found.labels == label
        means["n_precision", name] = found.n_precision, of_class
        for k in neighbors:
            means["class_accuracy", str(k), name] = (found.decisions(k) == found.labels).astype(np.float64), of_class

    def statistics(weights: Array) -> dict[tuple[str, ...], Array]:
        with np.errstate(invalid="ignore"):  # a resample without a class
            drawn = {
                name: weights[:, about] @ values[about] / weights[:, about].sum(axis=1)
                for name, (values, about) in means.items()
            }
        names = [tested.classes[label] for label in present]
        drawn["mean_n_precision",] = np.mean([drawn["n_precision", name] for name in names], axis=0)
        for k in map(str, neighbors):
            drawn["mean_class_accuracy", k] = np.mean([drawn["class_accuracy", k, name] for name in names], axis=0)
        return drawn

    points = {name: float(value[0]) for name, value in statistics(np.ones((1, len(groups)))).items()}
    draws = intervals.cluster_bootstrap(groups, statistics, resamples=resamples, seed=seed)
    result: dict[str, Any] = {"n": len(groups), "groups": len(set(groups)), "classes": list(tested.classes)}
    for name, value in points.items():
        values, about = means.get(name, (None, everyone))
        if name[0] == "class_accuracy" and values is not None:
            measured = intervals.share(values[about] == 1, groups[about], draws[name])
        elif name == ("mean_k_precision", "1") and values is not None:
            measured = intervals.share(values == 1, groups, draws[name], intervals.wilson)
        else:
            of = groups[about]
            measured = intervals.percentile(value, draws[name], len(of), len(set(of)), len(of))
        section = result
        for key in name[:-1]:
            section = section.setdefault(key, {})
        section[name[-1]] = asdict(measured)
    return result
