"""What frozen features are worth: kNN and linear evaluation, the two measures of lightly's benchmarks."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from cervix_tf import tuning
from cervix_tf.data.groups import groups_of
from cervix_tf.metrics.embeddings import Embeddings
from experiments.label_efficiency.config import Config, Probe

Array = NDArray[np.float64]


def probabilities(config: Config, probe: Probe, known: Embeddings, test: NDArray[np.float32], draw: int) -> Array:
    """What a probe on `known`, whose labels are used, says of test features: (images, features) -> (images, classes).

    Every class is among `known`.
    """
    if probe == "knn":
        return nearest(known, test, config.neighbors, config.vote_temperature)
    return linear(known, test, config.regularization, config.folds, draw)


def nearest(known: Embeddings, test: NDArray[np.float32], neighbors: int, temperature: float) -> Array:
    """Each class's share of the votes of the `neighbors` most similar images, or of all where there are fewer.

    A vote counts exp(cosine similarity / temperature), divided by how many images of its class are known.

    Source: Wu et al. 2018 (instance discrimination), sec. 3.4, with lightly's settings.
    Departs: there every vote counts alike, so that of uneven classes and few labels the largest always wins; lightly
        fails with fewer images than neighbors.
    """
    from sklearn.neighbors import KNeighborsClassifier

    def votes(distances: Array) -> Array:
        return np.exp((1 - distances) / temperature)

    classifier = KNeighborsClassifier(min(neighbors, len(known)), weights=votes, metric="cosine", algorithm="brute")
    shares = classifier.fit(known.values, known.labels).predict_proba(test) / np.bincount(known.labels)
    return shares / shares.sum(axis=1, keepdims=True)


def linear(
    known: Embeddings, test: NDArray[np.float32], regularization: tuple[float, ...], folds: int, seed: int
) -> Array:
    """Softmax regression on standardized features, its C the best in a cross-validation of `known`, by group.

    Classes count alike, in the loss and in the balanced accuracy that C is chosen by; of equals the smallest.

    Source: Chen et al. 2020, sec. 2.3 (linear evaluation).
    Departs: there, and in lightly, it is trained for 90 epochs without regularization, which overfits
        where labels are few, and images count alike.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)),
        {"logisticregression__C": sorted(regularization)},
        scoring="balanced_accuracy",
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=seed),
    )
    with warnings.catch_warnings(), tuning.one_thread():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")  # a fold of few labels may lack one
        chosen.fit(known.values, known.labels, groups=groups_of(known.table, "id"))
        return chosen.predict_proba(test)
