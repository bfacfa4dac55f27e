"""Ours beside the paper's tables.

Percent throughout, though the paper prints precisions and kappas as fractions. The
values of Tables 3, 5 and 6 are not in the text that the project works from (they are
pictures there), so their cells of the paper stay empty.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cervix_tf.data.manifest import Manifest
from cervix_tf.metrics import confusion, intervals, predictions, strata
from cervix_tf.metrics.agreement import agreement
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.means import means
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import tables
from cervix_tf.report.tables import COUNTS, Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir
from experiments.metric_learning import second_reader, women
from experiments.metric_learning.config import METHODS, NEIGHBORS, PUBLISHED, TASKS, Config, Row
from experiments.metric_learning.data import described
from experiments.metric_learning.training import Result

Score = Callable[..., Measured | None]
"""(row, K, class) -> the measured number (see `score`), None where that row was not run."""

AGES = tuple(PUBLISHED.table_7)
AGE_NAMES = {"all": "All", "<25": "Under 25", "25-49": "25 to 49", "50+": "50 and over", "unknown": "Age unknown"}
_NOT_IN_TEXT = "The paper's values are not in the text that we work from."


def of_run(
    config: Config,
    numbers: Sequence[int],
    parts: Mapping[str, Manifest],
    results: Mapping[Row, Result],
    best: Row,
    out: RunDir,
) -> list[Table]:
    """The tables of these numbers, and the hold-out accuracy of every row."""
    from_fine_tuned = ", the losses starting from the fine-tuned network" if config.start == "fine_tuned" else ""
    note = noted(config, f", K chosen on val2{from_fine_tuned}")
    classes, networks = tuple(TASKS[config.task].label_map), config.networks

    def of_split(part: str, row: Row, k: int, name: str = "") -> Measured | None:
        return score(results[row].retrieval[part], k, name) if row in results else None

    val2, test = functools.partial(of_split, "val2"), functools.partial(of_split, "test")
    made = {
        1: lambda: of_counts(parts, classes, noted(config)),
        2: lambda: k_precision(2, "val2", networks, val2, note),
        3: lambda: of_classes(3, "Mean N-precision by class, val2", networks, classes, (), val2, note),
        4: lambda: of_classes(4, "Accuracy of K neighbors by class, val2", networks, classes, NEIGHBORS, val2, note),
        5: lambda: k_precision(5, "hold-out split", networks, test, note),
        6: lambda: of_classes(6, "Mean N-precision by class, hold-out split", networks, classes, (), test, note),
    }
    found = [made[number]() for number in sorted(set(numbers) & set(made))]
    found += of_readers(config, numbers, best, results[best], out, note)
    return [*found, of_rows(config, results, out, note)]


def noted(config: Config, more: str = "") -> str:
    """How our numbers were made, in a sentence."""
    other = "" if config.task == "cervigrams" and not config.synthetic_women else "; not the paper's data"
    first = ", random initial weights, so that Pre-trained is untrained" if config.weights == "random" else ""
    return f"Ours: {described(config).text}{first}, seed {config.seed}{more}{other}."


def write_counts(config: Config, parts: Mapping[str, Manifest], out: RunDir) -> None:
    """Table 1 of a run that trains nothing."""
    made = [of_counts(parts, tuple(TASKS[config.task].label_map), noted(config))]
    tables.write(out.tables, made)
    tables.console(made)


def of_counts(parts: Mapping[str, Manifest], classes: Sequence[str], note: str) -> Table:
    """Table 1: women and images of each split, one column per class."""
    of_class = {name: women.count(parts, name) for name in classes}
    published = {("val2", 1): PUBLISHED.val2, ("test", 0): PUBLISHED.hold_out} if len(classes) == 2 else {}
    rows = [
        line(
            f"{'hold-out' if part == 'test' else part}: {what}",
            "",
            published.get((part, at)),
            [{"value": float(of_class[name][part][at])} for name in classes],
        )
        for part in parts
        for at, what in enumerate(("women (groups)", "images"))
    ]
    note = f"{note} {_NOT_IN_TEXT} Except those that Table 4 (val2) and Table 7 (hold-out) imply."
    columns = [name.capitalize() for name in classes]
    return table(1, "Women and images of each split", columns, rows, note, unit=COUNTS, spread="")


def of_readers(
    config: Config, numbers: Sequence[int], best: Row, result: Result, out: RunDir, note: str
) -> list[Table]:
    """Tables 7 and 8 of the best row, those that are asked for: by age, beside a second reader where there is one."""
    if not {7, 8} & set(numbers):
        return []

    def read(of_images: Predictions, tie: str = config.tie) -> Predictions:
        return women.one_each(of_images, tie)[0] if TASKS[config.task].women else of_images

    ours, own = read(result.predictions), out.row(best.classifier).predictions
    reader_name, second = "", None
    if config.second_reader is not None:
        second, reader_name = second_reader.read(config.second_reader, ours), config.second_reader.name
    elif own.exists():
        second = read(predictions.read(own))
        reader_name = f"the fine-tuned {PUBLISHED.networks[best.network]}'s own classification"
    unit = "one prediction per image"
    otherwise: dict[str, Predictions] = {}
    if TASKS[config.task].women:
        tied = int(women.one_each(result.predictions, config.tie)[1].sum())
        unit = f"one prediction per woman, the mean of her images; {tied} of {len(ours)} women tied"
        unit += f", each counted as {config.tie}" if tied else ""
        if tied:
            other = next(name for name in ours.classes if name != config.tie)
            otherwise = {f"ours, ties as {other}": read(result.predictions, other)}
    note = f"{note} Ours: {best.name}, K = {result.retrieval['k']}; {unit}."
    note += f" Second reader: {reader_name}." if reader_name else ""
    made = []
    if 7 in numbers:
        readers = {"second reader": ages(second)} if second is not None else {}
        readers |= {"ours": ages(ours)} | {name: {"all": each} for name, each in otherwise.items()}
        made += by_age(ours.classes, readers, note, config.seed)
    if 8 in numbers and second is not None:
        paired = {age: second_reader.paired(some, second) for age, some in ages(ours).items()}
        cells = {age: agreement(*pair, config.seed) for age, pair in paired.items() if len(pair[0])}
        made.append(of_agreement(ours.classes, cells, note))
    elif 8 in numbers:
        print("note: no Table 8: there is no second reader (--second-reader, or the fine-tuned row)")
    return made


def of_rows(config: Config, results: Mapping[Row, Result], out: RunDir, note: str) -> Table:
    """Hold-out accuracy of every row, at the K that val2 chose for it, and of the fine-tuned networks' own classifiers.

    The paper reports it of its best row only (Table 7).
    """
    rows: list[tables.Row] = []
    for row, result in results.items():
        chosen = f"{result.retrieval['k']}-NN"
        numbers = accuracies(result.predictions, config.seed)
        rows.append(tables.Row({**line(f"{named(row)}, {chosen}", row.name, None, numbers), "chosen": chosen}))
        own = out.row(row.classifier).predictions
        if row.method == "fine_tuned" and own.exists():
            numbers = accuracies(predictions.read(own), config.seed)
            rows.append(line(f"{named(row)}, softmax", row.classifier, None, numbers))
    columns = ["Accuracy", *(f"{name} found" for name in TASKS[config.task].label_map)]
    return table("Hold-out", "Hold-out accuracy of every row", columns, rows, note)


def named(row: Row) -> str:
    """A row as tables and figures call it."""
    return f"{PUBLISHED.networks[row.network]}, {PUBLISHED.methods[row.method]}"


def score(summary: Mapping[str, Any], k: int, name: str = "") -> Measured:
    """A number of Tables 2 to 6 out of a `retrieval.summary`, in percent.

    With `k` the mean K-precision, or the accuracy of the class `name`; with K = 0 the
    class's mean N-precision.
    """
    if not name:
        return per_cent(summary["mean_k_precision"][str(k)])
    return per_cent(summary["class_accuracy"][str(k)][name] if k else summary["n_precision"][name])


def accuracies(predicted: Predictions, seed: int) -> list[Measured]:
    """Accuracy over all labeled rows, then of each class's, in percent, with the intervals of metrics.json."""
    known = predicted.where(predicted.labels >= 0)
    right = (known.decisions == known.labels).astype(float)
    whole = means({"": (right, known.labels >= 0)}, known.groups, seed, intervals.wilson)
    of_class = {name: (right, known.labels == at) for at, name in enumerate(known.classes)}
    return [per_cent(each) for each in (*whole.values(), *means(of_class, known.groups, seed).values())]


def ages(predicted: Predictions) -> dict[str, Predictions]:
    """All rows under "all", then those of each age group of Table 7; without any age, all alone."""
    known = predicted.table["age"].notna().any()
    return {"all": predicted} | (strata.strata(predicted, "age") if known else {})


def k_precision(number: int, part: str, networks: Sequence[str], score: Score, note: str) -> Table:
    """Table 2 (val2) or 5 (hold-out): mean K-precision, one line a K and network, one column a method."""
    rows = []
    for k in NEIGHBORS:
        for network in networks:
            paper = PUBLISHED.table_2[k].get(network) if number == 2 else None
            ours = [score(Row(network, method), k) for method in METHODS]
            rows.append(line(f"K = {k}, {PUBLISHED.networks[network]}", network, paper, ours))
    missing = "" if number == 2 else f" {_NOT_IN_TEXT}"
    return table(number, f"Mean K-precision, {part}", PUBLISHED.methods.values(), rows, note + missing)


def of_classes(
    number: int, title: str, networks: Sequence[str], classes: Sequence[str], ks: Sequence[int], score: Score, note: str
) -> Table:
    """Table 3, 4 or 6: one line per (K,) network and method, one column per class.

    `ks` is empty where the number does not depend on K (N-precision).
    """
    rows = []
    for k in ks or (0,):
        for network in networks:
            for at, method in enumerate(METHODS):
                papers = PUBLISHED.table_4[k].get(network) if number == 4 and len(classes) == 2 else None
                ours = [score(Row(network, method), k, name) for name in classes]
                name = f"{f'K = {k}, ' if k else ''}{PUBLISHED.networks[network]}, {PUBLISHED.methods[method]}"
                rows.append(line(name, network, papers[at] if papers else None, ours))
    missing = "" if number == 4 else f" {_NOT_IN_TEXT}"
    return table(number, title, [name.capitalize() for name in classes], rows, note + missing)


def by_age(
    classes: Sequence[str], readers: Mapping[str, Mapping[str, Predictions]], note: str, seed: int
) -> list[Table]:
    """Table 7: of each class of the hold-out split the share that a reader finds, all and by age, and the counts.

    `readers` gives each reader's predictions of each age; ages that nobody has are left out.
    The paper's intervals are exact binomial ones of its counts, as it says. Of more than two
    classes the counts are left out.
    """
    binary = len(classes) == 2
    shares, counts = [], []
    for age in (*AGES, "unknown"):
        for reader, of_age in readers.items():
            if age not in of_age:
                continue
            source = "second" if reader == "second reader" else "ours"
            name, said = f"{AGE_NAMES[age]}, {reader}", of_age[age]
            published = (
                PUBLISHED.table_7.get(age, {}).get(source) if binary and reader in ("ours", "second reader") else None
            )
            row = line(name, source, None, accuracies(said, seed)[1:])
            if published:
                right = (published[0], sum(published[:2])), (published[3], sum(published[2:]))
                found = [per_cent(intervals.clopper_pearson(*each)) for each in right]
                row["paper"] = [each["value"] for each in found]
                row["paper_bounds"] = [(each["low"], each["high"]) for each in found]
            shares.append(row)
            cells = confusion.counts(said.labels, said.decisions, len(classes), np.ones((1, len(said)))).ravel()
            counts.append(line(name, source, published, [{"value": float(cell)} for cell in cells]))
    title, columns = "Hold-out split, by age: ", [f"{name.capitalize()} found" for name in classes]
    made = [table(7, f"{title}percent of each class found", columns, shares, note)]
    if binary:
        columns = [f"{true.capitalize()} called {said}" for true in classes for said in classes]
        title += "what the women of each class were called"
        made.append(table("Table 7, counts", title, columns, counts, note, unit=COUNTS, spread=""))
    return made


def of_agreement(classes: Sequence[str], found: Mapping[str, Mapping[str, Interval]], note: str) -> Table:
    """Table 8: our predictions against the second reader's, all and by age; counts as a percentage of the rows.

    `found` gives, for each age, `kappa` and, of two classes, the four cells of the
    confusion matrix as "00", "01" (only ours says the second class), "10", "11"; of more
    classes `same`, the share of equal predictions.
    """
    binary = len(classes) == 2
    cells = {
        "00": f"Both {classes[0]}",
        "01": f"Only ours {classes[1]}",
        "10": f"Only second {classes[1]}",
        "11": f"Both {classes[1]}",
    }
    columns = {**(cells if binary else {"same": "Same prediction"}), "kappa": "Kappa x 100"}
    rows = []
    for age in (*AGES, "unknown"):
        if age in found:
            paper = None
            if binary and age in PUBLISHED.table_8:
                counts, kappa = PUBLISHED.table_8[age]
                paper = [*(100 * count / sum(counts) for count in counts), 100 * kappa]
            rows.append(line(AGE_NAMES[age], "ours", paper, [per_cent(found[age][key]) for key in columns]))
    return table(8, "Our predictions against the second reader's, hold-out split", columns.values(), rows, note)
