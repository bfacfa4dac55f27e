"""Tables 2 to 8 from what was measured, and the hold-out accuracy of every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cervix_tf.evaluate import predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.report.tables import Measured, Table
from cervix_tf.run_dir import RunDir
from experiments.metric_learning import measures, rows, second_reader, tables
from experiments.metric_learning.config import NEIGHBOURS, READINGS, Config
from experiments.metric_learning.rows import Row

Summaries = dict[str, Any]
"""Of a row: `k`, and the `retrieval.summary` of `val2` and `test`."""


def of_embeddings(
    config: Config, numbers: tuple[int, ...], summaries: Mapping[Row, Summaries], note: str
) -> list[Table]:
    """Tables 2 to 6, those that are asked for."""

    def score(part: str) -> tables.Score:
        def of_row(row: Row, k: int, name: str = "") -> Measured | None:
            return measures.score(summaries[row][part], k, name) if row in summaries else None

        return of_row

    classes = tuple(READINGS[config.task].classes)
    made = {
        2: lambda: tables.k_precision(2, "val2", config.networks, score("val2"), note),
        3: lambda: tables.of_classes(
            3, "Mean N-precision by class, val2", config.networks, classes, (), score("val2"), note
        ),
        4: lambda: tables.of_classes(
            4, "Accuracy of K neighbours by class, val2", config.networks, classes, NEIGHBOURS, score("val2"), note
        ),
        5: lambda: tables.k_precision(5, "hold-out part", config.networks, score("test"), note),
        6: lambda: tables.of_classes(
            6, "Mean N-precision by class, hold-out part", config.networks, classes, (), score("test"), note
        ),
    }
    return [made[number]() for number in sorted(set(numbers) & set(made))]


def of_verdicts(
    config: Config, numbers: tuple[int, ...], best: Row, k: int, said: Predictions, out: RunDir, note: str
) -> list[Table]:
    """Tables 7 and 8 of the best row, those that are asked for: by age, beside a second reader where there is one."""

    if not {7, 8} & set(numbers):
        return []
    women = READINGS[config.task].women
    ours = predictions.aggregate(said, "group") if women else said
    own = out.row(rows.classifier(best.network)).predictions
    reader, second = "", None
    if config.second_reader is not None:
        second, reader = second_reader.read(config.second_reader, ours), config.second_reader.name
    elif own.exists():
        both = predictions.read(own)
        second = predictions.aggregate(both, "group") if women else both
        reader = f"the fine-tuned {tables.NETWORK_NAMES[best.network]}'s own classification"
    unit = "one verdict a woman, the mean of her images" if women else "one verdict an image"
    note = f"{note} Ours: {best.name}, K = {k}; {unit}." + (f" Second reader: {reader}." if reader else "")
    classes, strata = said.classes, measures.by_age(ours)
    made = []
    if 7 in numbers:
        by_age = {age: measures.accuracies(part, config.seed)[1:] for age, part in strata.items()}
        others = measures.by_age(second) if second is not None else {}
        theirs = {age: measures.accuracies(part, config.seed)[1:] for age, part in others.items()}
        made.append(tables.by_age(classes, by_age, theirs, note))
    if 8 in numbers and second is not None:
        paired = {age: second_reader.paired(part, second) for age, part in strata.items()}
        cells = {age: measures.agreement(*pair, config.seed) for age, pair in paired.items() if len(pair[0])}
        made.append(tables.agreement(classes, cells, note))
    elif 8 in numbers:
        print("note: no Table 8: there is no second reader (--second-reader, or the fine-tuned row)")
    return made


def of_rows(
    config: Config, summaries: Mapping[Row, Summaries], verdicts: Mapping[Row, Predictions], out: RunDir, note: str
) -> Table:
    """Hold-out accuracy of every row by its own K, and of the fine-tuned networks' own classification."""

    found = {}
    for row, said in verdicts.items():
        name = f"{tables.NETWORK_NAMES[row.network]}, {tables.METHOD_NAMES[row.method]}"
        found[f"{name}, {summaries[row]['k']}-NN"] = measures.accuracies(said, config.seed)
        own = out.row(rows.classifier(row.network)).predictions
        if row.method == "fine_tuned" and own.exists():
            found[f"{name}, softmax"] = measures.accuracies(predictions.read(own), config.seed)
    return tables.verdicts(found, tuple(READINGS[config.task].classes), note)
