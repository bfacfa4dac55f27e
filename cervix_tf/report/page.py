"""report.html: one self-contained page of a run, or of an evaluation, from its files alone.

What a run has not written yet is left out and named; the page needs no network and no script.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cervix_tf import atomic, progress, run_dir, runs, shown_paths, start
from cervix_tf.errors import InputError
from cervix_tf.export import model_card
from cervix_tf.report import (
    cases,
    checklist,
    checklist_answers,
    data_counts,
    decision_figures,
    figures,
    first_screen,
    formatting,
    heat_maps,
    paper_figures,
    summary_cards,
    tables,
)
from cervix_tf.run_dir import RunDir
from cervix_tf.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from cervix_tf.data.manifest import Manifest
    from cervix_tf.metrics.predictions import Predictions

MAIN = "main model"
_PARTS = {  # file of a run -> what the page lacks without it
    "config": "the configuration",
    "environment": "the environment and the command line",
    "manifest": "data counts and images",
    "predictions": "cases",
    "metrics": "metrics and figures",
    "tables": "the paper's tables",
    "exports": "exported files",
}


def run(run: RunDir, *, images: bool = True) -> Path:
    """The written report.html of a run; without patients' images unless both `images` and the run's own command
    allow them.

    Raises `InputError` when `run` is not a run, or when one of its files is broken.
    """
    check(run)
    made_by = _commands(_json(run.environment, dict))
    study = re.match(r"python -m experiments\.(\w+)", made_by[-1] if made_by else "")
    folder = run.root.resolve().name
    name = f"{study[1]} / {folder}" if study else folder  # no folder above it: it may name anything
    missing = [
        f"{getattr(run, part).name} ({what})" for part, what in _PARTS.items() if not getattr(run, part).exists()
    ]
    return _write(run, f"Run {name}", missing, images)


def check(run: RunDir) -> None:
    """Raise `InputError` when nothing in the folder says that it is a run or an evaluation."""
    if not any(path.is_file() for path in (run.config, run.metrics, run.predictions, run.history)):
        raise InputError(
            f"{run.root}: is not a run: no {run.config.name}, {run.metrics.name}, {run.predictions.name} or "
            f"{run.history.name} in it; give the folder that a study wrote, saved_models/<paper>/<run>"
        )


def evaluation(directory: Path, *, images: bool = True) -> Path:
    """The written report.html of a folder with predictions.csv and metrics.json; `images` as in `run`.

    Raises `InputError` when either is missing or broken.
    """
    files = RunDir(Path(directory))
    for path in (files.predictions, files.metrics):
        if not path.is_file():
            raise InputError(f"{path}: no such file; evaluate a model into this folder first")
    return _write(files, f"Evaluation {files.root.resolve().name}", [], images)


def _write(run: RunDir, title: str, missing: list[str], images: bool) -> Path:
    import jinja2

    from cervix_tf.metrics import operating_points, uncertainty

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cervix_tf.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"formatting": formatting, "tables": tables}
    environment.globals |= {"operating_points": operating_points, "uncertainty": uncertainty}
    with progress.stage("writing the report"):
        contents = _contents(run, title, missing, images)
        if contents["checklists"]:
            checklist.write(run.checklist, title, contents["checklists"])
        atomic.write_text(run.report, environment.get_template("page.html").render(contents))
    return run.report


def _contents(run: RunDir, title: str, missing: list[str], images: bool) -> dict[str, Any]:
    """Everything that the template shows."""
    config, environment, contract, metrics = (
        _json(path, dict) for path in (run.config, run.environment, run.contract, run.metrics)
    )
    if run.decisions.exists():  # of a run; an evaluation has them among its metrics
        metrics = {**_json(run.decisions, dict), **metrics}
    audit, exports = (_json(path, list) for path in (run.audit, run.exports))
    predicted = _predictions(run)
    listed = runs.listed_rows(run) if run.manifest.exists() else None
    classes = metrics.get("classes") or contract.get("classes") or (predicted.classes if predicted else ())
    # As published, the ensemble study has no validation split; others split at random and still have one.
    no_validation = listed is not None and "validation" not in set(listed.rows["split"])
    on_test = config.get("protocol") == "as_published" and no_validation
    root = str(environment.pop("data_root", ""))
    commands = [shown_paths.published_command(each, root) for each in _commands(environment)]
    if "commit" in environment:
        environment["commit"] = start.commits(environment)
    environment.pop("earlier", None)  # its commands and commits are shown with the last ones
    images = images and environment.get("report_images", True)
    beside = paper_figures.read(run, photographs=images)
    there = {picture.source for _, picture in beside}  # not drawn a second time
    there_roc = any(paper_figures.is_roc(picture) for _, picture in beside)
    deferral = first_screen.deferral(metrics, predicted) if metrics else ()
    gate = run.quality.is_file() or bool(metrics.get("quality"))  # of a run, or of an evaluated model
    of_model = metrics.get("model_limits") or model_card.own_limits(
        run.root, contract.get("task", ""), contract.get("version", "")
    )
    first = first_screen.screen(metrics, contract.get("views") or (), deferral, gate, of_model) if metrics else None
    on_top = {rate.card.key for rate in first.rates} if first else set()
    sections = _cases(run, predicted, listed if images else None, contract.get("views") or (), images)
    shown = [case for _, group in sections for case in group]
    heat = heat_maps.told(run, any(case.heat_map for case in shown))
    counts = data_counts.counted(listed, classes) if listed else None
    texts = {
        "config": _without_folders(config, root),
        "environment": _without_folders(environment, root),
    }
    facts = checklist_answers.Facts(
        metrics,
        contract,
        counts=counts,
        audit=audit,
        exports=exports,
        heat_maps=heat.caption,
        cases=predicted is not None,
        ages=int(listed.rows["age"].notna().sum()) if listed else 0,
        sites=sorted(set(listed.rows["site"]) - {""}) if listed else (),
        gate=gate,
        **texts,
    )
    there_are = [path for path in (run.tables, run.tables_of_seeds) if path.exists()]
    printed = [table for path in there_are for table in tables.read(path)]
    drawn = _curves(run, str(config.get("criterion", "")), "test" if on_test else "validation")
    models = _models(run, metrics)
    return {
        "title": title,
        "missing": missing,
        "banners": summary_cards.banners(metrics, contract, config, selected_on_test=on_test),
        "contract": contract,
        "metrics": metrics,
        "cards": summary_cards.cards(metrics),
        "first": first,
        "other_cards": [card for card in summary_cards.cards(metrics) if card.key not in on_top],
        "heat": heat,
        "checklists": checklist.checklists(facts) if first else [],
        "checklist_file": run.checklist.name,
        "images_shown": any(case.heat_map or case.images for case in shown),
        "majority": summary_cards.majority(metrics),
        "point": metrics.get("operating_point") or {},
        "calibrated": _calibrated(metrics.get("calibration_measures") or {}),
        "models": models,
        "models_read_as": _read_as(models),
        "strata": {
            by: [(name, summary_cards.cards(part)) for name, part in parts.items()]
            for by, parts in (metrics.get("strata") or {}).items()
            if parts
        },
        "printed_tables": printed,
        "papers": any(map(tables.has_paper, printed)),
        "legend": tables.Legend(),
        "curves": [each for each in drawn if each.source not in there],
        "figures": [
            each
            for each in _figures(metrics, predicted, deferral)
            if each.source not in there and not (there_roc and paper_figures.is_roc(each))
        ],
        "figures_beside": beside,
        "sections": sections,
        "images": _images_note(listed, root) if images else "Patients' images are left out, as requested.",
        "counts": counts,
        "audit": audit,
        "exports": _exports(exports),
        **texts,
        "commands": commands,
        "version": __version__,
    }


def _json(path: Path, kind: type) -> Any:
    """The JSON value in a file, an empty one where there is no file."""
    if not path.exists():
        return kind()
    found = run_dir.read_json(path)
    if not isinstance(found, kind):
        what = "object" if kind is dict else "list"
        raise InputError(f"{path}: does not contain a JSON {what}; run that stage again")
    return found


def _predictions(run: RunDir) -> Predictions | None:
    from cervix_tf.metrics import predictions

    return predictions.read(run.predictions) if run.predictions.exists() else None


def _calibrated(measures: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of calibration: a title, and the metrics before and after, as far as they are known."""
    if not measures:
        return {}
    method, after = measures.get("method"), measures.get("after")
    rows = {f"before {method} scaling": measures["before"], f"after {method} scaling": after}
    if after is None:
        rows = {"this model": measures["before"]}
    title = f"Calibration of the probability of {measures['before']['of']} (calibration error, log loss: all classes)"
    return {"title": title, "rows": {name: found["metrics"] for name, found in rows.items()}}


def _models(run: RunDir, metrics: Mapping[str, Any]) -> list[tuple[str, list[summary_cards.Card]]]:
    """The headline numbers of every evaluated model of the run, the main one first; [] for a single one.

    All by the most probable class: only the main model has an operating point.
    """
    found = [(MAIN, summary_cards.cards({**metrics, "operating_point": None}))]
    found += [(name, summary_cards.cards(_json(row.metrics, dict))) for name, row in run.rows.items()]
    found = [(name, cards) for name, cards in found if cards]
    return found if len(found) > 1 else []


def _read_as(models: Sequence[tuple[str, list[summary_cards.Card]]]) -> str:
    """What counts as positive, with the models' names where it is not the same for all; empty where nothing does."""
    found: dict[str, list[str]] = {}
    for name, cards in models:
        for of in {card.of for card in cards if card.of}:
            found.setdefault(of, []).append(name)
    return "; ".join(of if len(found) == 1 else f"{of} ({', '.join(names)})" for of, names in found.items())


def _curves(run: RunDir, criterion: str, held_out: str) -> list[figures.Picture]:
    """Training curves, one figure a network; the folds of a cross-validation share one.

    `criterion` is the run's, for a network whose training has not noted its own.
    """
    from cervix_tf import history_file

    histories: dict[str, list[pd.DataFrame]] = {}
    kept = {}
    for name, row in {MAIN: run, **run.rows}.items():
        if row.history.exists():
            network = re.sub(r"^fold-\d+-", "", name)
            histories.setdefault(network, []).append(history_file.read(row.history))
            best = _json(row.finished_training, dict).get("best", {})
            kept[network] = next(iter(best)) if len(best) == 1 else criterion
    drawn = [figures.training(name, each, kept[name], held_out) for name, each in histories.items()]
    return [picture for picture in drawn if picture]


def _figures(
    metrics: Mapping[str, Any], predicted: Predictions | None, deferral: Sequence[Mapping[str, Any]]
) -> list[figures.Picture]:
    """Confusion matrix, ROC, calibration, bars a class, deferral and the histogram, whichever the metrics allow."""
    if not metrics.get("confusion"):
        return []
    import numpy as np

    classes: Sequence[str] = metrics["classes"]
    found: list[figures.Picture | None] = [
        figures.confusion(np.asarray(metrics["confusion"], float), classes, f"{len(classes)} classes")
    ]
    positive = [name for name in (metrics.get("binary") or {}).get("positive", ()) if name in classes]
    per_class = metrics.get("per_class") or {}
    found.append(figures.bars({name: per_class.get(name, {}).get("sensitivity", {}) for name in classes}))
    found.append(_roc(metrics, positive))
    error = metrics["metrics"].get("expected_calibration_error", {})
    said = (
        "Calibration: dots are observed shares with 95 % intervals, the dotted line is perfect calibration; "
        f"fewer than {figures.FEWEST_IN_BIN} cases get no dot. "
        f"Expected calibration error {summary_cards.text('expected_calibration_error', error)}."
    )
    found.append(figures.reliability((metrics.get("calibration") or {}).get("bins", ()), said))
    at = (metrics.get("operating_point") or {}).get("prevalence")
    share = "of these cases" if at is None else f"of {100 * at:g} %"
    found.append(
        decision_figures.decision_curve(
            metrics.get("decision_curve") or (),
            f"Decision curve at the prevalence {share}: acting on the model helps where its line is the highest.",
        )
    )
    found.append(decision_figures.deferral(deferral))
    found.append(decision_figures.uncertainty((metrics.get("uncertainty") or {}).get("methods") or ()))
    if predicted is not None and positive:
        truth, _, score = predicted.positive(positive)
        known = predicted.labels >= 0
        found.append(figures.histogram(score[known], truth[known], " or ".join(positive)))
    return [picture for picture in found if picture]


def _roc(metrics: Mapping[str, Any], positive: Sequence[str]) -> figures.Picture | None:
    """One figure: the positive classes against the rest, and each class against the others.

    A class alone on its side has the curve of the positive reading already.
    """
    classes, roc = metrics["classes"], metrics.get("roc") or {}
    per_class = metrics.get("per_class") or {}
    sides = (list(positive), [name for name in classes if name not in positive])
    alone = {side[0] for side in sides if len(side) == 1} if roc.get("binary") else set()
    curves = [
        (name, roc.get("per_class", {}).get(name), _area(per_class.get(name, {})))
        for name in classes
        if name not in alone
    ]
    if not any(curve for _, curve, _ in curves):
        curves = []
    told = ["each class against the others"] if curves else []
    if roc.get("binary"):
        curves.insert(0, ("positive", roc["binary"], _area(metrics["binary"]["metrics"])))
        told.insert(0, f"positive = {' or '.join(positive)}")
    return figures.roc(curves, ", and ".join(told)) if curves else None


def _area(measured: Mapping[str, Any]) -> str:
    return summary_cards.text("auc", measured.get("auc"))


def _cases(
    run: RunDir, predicted: Predictions | None, listed: Manifest | None, views: Sequence[str], images: bool
) -> list[tuple[str, list[cases.Case]]]:
    if predicted is None:
        return []
    return [
        (name, [cases.described(predicted, row, listed, views, run if images else None) for row in rows])
        for name, rows in cases.chosen(predicted).items()
        if rows
    ]


def _images_note(listed: Manifest | None, root: str) -> str:
    """Why the page shows no images; empty when it can."""
    if listed is None:
        return "There is no manifest beside the predictions, so the images themselves are not shown."
    if not root:
        return "The run does not say where its images are (data_root in environment.json), so they are not shown."
    gone = "The images are no longer where they were (data_root in environment.json); put them back and redo this page."
    return "" if listed.root.is_dir() else gone


def _exports(entries: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Column heads and cells of the table of exported files; keys that an entry lacks stay empty."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    heads = [_EXPORT_HEADS.get(key, formatting.title(key)) for key in keys]
    return heads, [[_export_cell(key, entry.get(key)) for key in keys] for entry in entries]


_EXPORT_HEADS = {
    "bytes": "Size",
    "latency_ms_1": "ms, 1 thread",
    "latency_ms_all": "ms, all threads",
    "agreement": "Same predictions",
    "widest_change": "Largest lead lost",
    "point_agreement": "Same at operating point",
    "widest_point_change": "Furthest from threshold",
    "max_difference": "Largest difference",
    "mean_difference": "Mean difference",
    "accuracy_change": "Accuracy change, points [95 % CI]",
    "forced": "Kept by --force",
}


def _export_cell(key: str, item: Any) -> str:
    number = isinstance(item, int | float) and not isinstance(item, bool)
    if key == "accuracy_change" and formatting.defined(item):
        text = "{} [{}, {}]".format(*(f"{100 * item[part]:+.1f}" for part in ("value", "low", "high")))
    elif isinstance(item, Mapping):
        text = (
            summary_cards.text(key, item)
            if "value" in item
            else ", ".join(map(": ".join, formatting.flat(item).items()))
        )
    elif number and key == "bytes":
        text = formatting.size(item)
    elif number and formatting.is_share(key):
        text = f"{100 * item:.1f} %"
    elif number and (key.endswith("_difference") or key.startswith("widest_")):
        text = f"{item:.1g}"
    elif number and key.startswith("latency"):
        text = f"{item:.1f}"
    else:
        text = formatting.plain(item)
    return text


def _without_folders(values: Mapping[str, Any], root: str) -> dict[str, str]:
    """Name -> text of every value, without folders that name users."""
    return {
        name: (shown_paths.published_command if name == "command_line" else shown_paths.published)(text, root)
        for name, text in formatting.flat(values).items()
    }


def _commands(environment: Mapping[str, Any]) -> list[str]:
    """The command lines that made the run, in order, as one would type them; none where they are not known."""
    every = [each.get("command_line") or "" for each in (*environment.get("earlier", ()), environment)]
    texts = [each if isinstance(each, str) else shlex.join(map(str, each)) for each in every]
    return [text for text in dict.fromkeys(texts) if text]
