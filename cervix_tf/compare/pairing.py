"""Several models' predictions, row by row on the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir, read_object

_NAMED = 3


def read(runs: Sequence[Path]) -> dict[str, Predictions]:
    """Paired predictions of each run (a run directory or a predictions.csv), by a name that tells runs apart.

    Raises `InputError` when a run has no predictions or the runs cannot be paired (see `paired`).
    """
    found = {}
    for run, name in zip(runs, names(runs), strict=True):
        found[name] = predictions.read(RunDir(run).predictions if run.is_dir() else run)
    return paired(by_case(found))


def by_case(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The models' predictions, those of single images joined by case where another model predicts whole cases.

    A case then has the mean of its images' probabilities.
    """

    def whole_cases(model: Predictions) -> bool:
        return bool((model.table["id"] == model.table["case"]).all())

    if not any(map(whole_cases, models.values())):
        return dict(models)
    return {
        name: model if whole_cases(model) else predictions.aggregate(model, "case") for name, model in models.items()
    }


def names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the runs' paths that differ, such as `demo` or `demo/rows/green`.

    Raises `InputError` when a run is given twice.
    """
    parts = [
        (path.parent if path.suffix == ".csv" and path.name == RunDir(path).predictions.name else path).parts
        for path in (run.resolve() for run in runs)
    ]
    twice = [run for at, run in enumerate(runs) if parts[at] in parts[:at]]
    if twice:
        raise InputError(f"{twice[0]}: is given twice; a run compared with itself says nothing")
    ends = range(1, max(map(len, parts)) + 1)
    depth = next((end for end in ends if len({each[-end:] for each in parts}) == len(parts)), max(ends))
    return ["/".join(each[-depth:]) for each in parts]


def paired(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The labeled rows of every model, in the first one's order.

    Raises `InputError` that says how many and which, unless all have the same ids,
    classes, labels and groups.
    """
    first_name, first = next(iter(models.items()))
    if len(models) < 2:
        raise InputError(f"{first_name}: a comparison needs at least two runs")
    result = {}
    for name, model in models.items():
        pair = f"{first_name} and {name}"
        if model.classes != first.classes:
            raise InputError(
                f"{pair}: classes {', '.join(first.classes)} against {', '.join(model.classes)}; "
                "only models of the same task can be compared"
            )
        here, there = set(first.table["id"]), set(model.table["id"])
        if here != there:
            raise InputError(
                f"{pair}: not the same cases: {_some(here - there)} only in the first, "
                f"{_some(there - here)} only in the second; evaluate both on the same manifest and split"
            )
        aligned = model.of(first.table["id"])
        for what, differ in (
            ("labels", aligned.table["label"] != first.table["label"]),
            ("groups", aligned.groups != first.groups),
        ):
            if differ.any():
                which = set(first.table["id"][differ])
                raise InputError(f"{pair}: {what} differ for {_some(which)}; evaluate both on the same manifest")
        result[name] = aligned.where(aligned.labels >= 0)
    if not len(result[first_name]):
        raise InputError(f"{first_name}: none of the {len(first)} rows has a label; a comparison needs the truth")
    return result


def positive(runs: Sequence[Path], models: Mapping[str, Predictions]) -> tuple[str, ...]:
    """The positive classes that the runs' metrics.json agree on; else the second of two classes, else none.

    Raises `InputError` when the runs disagree.
    """
    found: dict[tuple[str, ...], Path] = {}
    for run in runs:
        path = RunDir(run if run.is_dir() else run.parent).metrics
        binary = read_object(path).get("binary") if path.is_file() else None
        if binary:
            found[tuple(binary["positive"])] = path
    if len(found) > 1:
        said = "; ".join(f"{path}: {' or '.join(classes)}" for classes, path in found.items())
        raise InputError(f"the runs disagree on the positive classes ({said}); say which with --positive")
    if found:
        return next(iter(found))
    classes = next(iter(models.values())).classes
    return classes[1:] if len(classes) == 2 else ()


def _some(ids: set[str]) -> str:
    listed = ", ".join(sorted(ids)[:_NAMED])
    return f"{len(ids)} ({listed}{', ...' if len(ids) > _NAMED else ''})" if ids else "0"
