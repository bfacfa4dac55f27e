"""Verdicts by neighbours and how good they are, each number with its interval, in per cent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix_tf.evaluate import confusion, intervals, metrics, strata
from cervix_tf.evaluate import predictions as predicted
from cervix_tf.evaluate.embeddings import Embeddings
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.export import neighbours
from cervix_tf.report.tables import Measured
from cervix_tf.run_dir import RunDir, write_json
from experiments.metric_learning.config import READINGS, Config

Values = NDArray[np.float64]
Key = Hashable


def classified(found: Embeddings, part: str, k: int) -> Predictions:
    """What the K nearest training images say of each image of a part.

    Source: sec. III: "a K-Nearest Neighbor classifier is trained with the extracted deep features".
    """
    train, asked = found.part("train"), found.part(part)
    fitted = neighbours.of(train.values, train.labels, found.classes, k)
    return predicted.of_rows(asked.table, fitted.probabilities(asked.values), found.classes)


def score(summary: Mapping[str, Any], k: int, name: str = "") -> Measured:
    """A number of Tables 2 to 6 out of a `retrieval.summary`, in per cent.

    With `k` the mean K-precision, or the accuracy of the class `name`; with K = 0 the
    class's mean N-precision.
    """
    if not name:
        return per_cent(summary["mean_k_precision"][str(k)])
    return per_cent(summary["class_accuracy"][str(k)][name] if k else summary["n_precision"][name])


def accuracies(verdicts: Predictions, seed: int) -> list[Measured]:
    """Accuracy over all labelled rows, then of each class's, in per cent."""
    right = (verdicts.decisions == verdicts.labels).astype(float)
    means: dict[Key, tuple[Values, NDArray[np.bool_]]] = {"all": (right, verdicts.labels >= 0)}
    means |= {name: (right, verdicts.labels == at) for at, name in enumerate(verdicts.classes)}
    return list(measured(means, verdicts.groups, seed).values())


def agreement(ours: Predictions, second: Predictions, seed: int) -> dict[Key, Measured]:
    """Table 8 of paired rows: kappa of the verdicts and, in per cent, `same` and each cell of their confusion matrix.

    Cell "01" holds the rows that the second reader calls the first class and ours the second.
    """
    one, two, classes = second.decisions, ours.decisions, range(len(ours.classes))
    everywhere = np.ones(len(ours), dtype=bool)
    means: dict[Key, tuple[Values, NDArray[np.bool_]]] = {"same": ((one == two).astype(float), everywhere)}
    for row in classes:
        for column in classes:
            means[f"{row}{column}"] = ((one == row) & (two == column)).astype(float), everywhere

    def kappa(weights: Values) -> dict[str, Values]:
        return {"kappa": confusion.kappa(confusion.counts(one, two, len(ours.classes), weights))}

    found = measured(means, ours.groups, seed)
    value = float(kappa(np.ones((1, len(ours))))["kappa"][0])
    groups = len(set(ours.groups))
    if np.isnan(value):
        return {**found, "kappa": per_cent(asdict(intervals.undefined("all verdicts are one class", len(ours))))}
    draws = intervals.cluster_bootstrap(ours.groups, kappa, seed=seed)["kappa"]
    return {**found, "kappa": per_cent(asdict(intervals.percentile(value, draws, len(ours), groups, len(ours))))}


def measured(
    means: Mapping[Key, tuple[Values, NDArray[np.bool_]]], groups: NDArray[np.object_], seed: int
) -> dict[Key, Measured]:
    """The mean of each (values, rows that count) in per cent: exact binomial interval where values are 0 or 1 and no
    two rows are of one group, else the bootstrap of whole groups; all from the same resamples.
    """  # fmt: skip
    independent = len(set(groups)) == len(groups)
    exact = {
        key: intervals.clopper_pearson(int(values[of].sum()), int(of.sum()))
        for key, (values, of) in means.items()
        if (independent and np.isin(values[of], (0.0, 1.0)).all()) or not of.any()
    }
    rest = {key: each for key, each in means.items() if key not in exact}

    def statistics(weights: Values) -> dict[Key, Values]:
        return {key: confusion.ratio(weights @ (values * of), weights @ of) for key, (values, of) in rest.items()}

    draws = intervals.cluster_bootstrap(groups, statistics, seed=seed) if rest else {}
    boot = {
        key: intervals.percentile(
            float(values[of].mean()), draws[key], int(of.sum()), len(set(groups[of])), int(of.sum())
        )
        for key, (values, of) in rest.items()
    }
    return {key: per_cent(asdict(exact[key] if key in exact else boot[key])) for key in means}


def per_cent(found: Mapping[str, Any]) -> Measured:
    """A share of metrics.json as a table shows it."""
    value, low, high = (None if found[key] is None else 100 * found[key] for key in ("value", "low", "high"))
    return {"value": value, "low": low, "high": high, "n": found["n"], "method": found["method"]}


def by_age(said: Predictions) -> dict[str, Predictions]:
    """All rows under "all", then those of each age group of Table 7; without any age, all alone."""
    found = {"all": said}
    if said.table["age"].notna().any():
        found |= strata.strata(said, "age")
    return found


def summarise(config: Config, out: RunDir, said: Predictions, validation: Predictions) -> None:
    """Write the metrics of hold-out predictions, by age too where ages are known."""

    reading = READINGS[config.task]
    found = metrics.summary(
        said,
        positive=reading.positive,
        validation=validation,
        seed=config.seed,
        data=described(config),
        synthetic=bool(config.synthetic_women),
        stand_in=stand_in(config),
    )
    if said.table["age"].notna().any():
        found["strata"] = {"age": strata.stratified(said, "age", positive=reading.positive, seed=config.seed)}
    write_json(out.metrics, found)


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_women:
        return f"cervigrams of {config.synthetic_women} synthetic women"
    return READINGS[config.task].data


def stand_in(config: Config) -> bool:
    """Whether the images are real ones of another data set than the paper's."""
    return config.task != "cervigrams"
