"""A finished model on the images of a manifest: predictions, metrics with intervals, and what to know about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cervix_tf.data import seen
from cervix_tf.data.headers import UnreadableImage
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.seen import Overlap
from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.evaluate import alarms, members, selection, thresholds
from cervix_tf.evaluate.members import Wanted
from cervix_tf.evaluate.selection import Part, Selection
from cervix_tf.evaluate.thresholds import Chosen, Validation
from cervix_tf.export import model_card, runtime
from cervix_tf.metrics import (
    calibration,
    classification,
    conformal,
    net_benefit,
    predictions,
    recalibration,
    repeatability,
    strata,
    strata_differences,
    uncertainty,
)
from cervix_tf.metrics import margin as margins
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.quality import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from cervix_tf.contract import Contract
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.export.runtime import Model

Stratum = strata.By
Aggregate = Literal["mean", "max"]


@dataclass(frozen=True)
class Evaluation:
    """What a model said of a manifest's images, and how good that was."""

    predictions: Predictions
    metrics: dict[str, Any]
    """As metrics.json has them: each number with n, interval and method."""
    tested: Manifest
    """The rows of the split."""
    overlap: Overlap | None
    """How much of them the model had seen before; None = it does not say what it was trained on."""
    left_out: tuple[UnreadableImage, ...]
    """Damaged images of the split that were skipped."""
    notes: tuple[str, ...]
    """What a reader should know; warnings of what was seen before come first."""
    chosen: Chosen | None = None
    """The operating point that a rule chose here, for `evaluate` to test on other data; None = none was chosen."""


def evaluate(
    model: Model,
    listed: Manifest,
    name: str = "manifest",
    *,
    split: str = selection.DEFAULT,
    view: str = "",
    by: Sequence[Stratum] = (),
    aggregate: Aggregate | None = None,
    validation_split: str = "validation",
    damaged: Literal["fail", "skip"] = "fail",
    margin: float | None = None,
    operating_point: str | Chosen = "",
    prevalence: float | None = None,
    set_error: float | None = None,
    repeated: bool = False,
    uncertain: Wanted = members.NOTHING,
    data: str = "",
    label: str = "",
    synthetic: bool | None = None,
    stand_in: bool | None = None,
    batch_size: int = 32,
    resamples: int = 2000,
    seed: int = 0,
    selected: Selection | None = None,
) -> Evaluation:
    """The model's predictions of one split of a manifest, and their metrics.

    Args:
        model: What `cervix_tf.export.runtime.load` gave.
        listed: Manifest with labels.
        name: Of the manifest, for messages and results.
        split: Rows to evaluate; "all" = every row, as is the default where no row has a split.
        view: For a model of single images: only this kind of view.
        by: Metrics also for each age group, site, device or kind of view, and how far each is from the others;
            sensitivity and specificity at the operating point, if there is one.
        aggregate: One prediction a case (a group, where cases are not named) instead of one per image.
        validation_split: Rows on which thresholds are chosen; without any, those that the run kept.
        damaged: Whether damaged images are refused or left out.
        margin: Threshold in [-1, 1] on the margin of the positive classes (see `cervix_tf.metrics.margin`).
        operating_point: Rule by which a threshold is chosen on the validation rows (see
            `cervix_tf.metrics.operating_points`), or what was chosen on those of other data; "" = that of the
            contract, and without one `prevalence` is for the most probable class.
        prevalence: Share of positives, in (0, 1), among the patients that predictive values are wanted for.
        set_error: Share of inputs, in (0, 1), whose true class prediction sets may miss (see
            `cervix_tf.metrics.conformal`); also the error when unsure inputs are deferred.
        repeated: Also how far several images of one case are decided alike.
        uncertain: Other answers to each input, if any; also how well their spread measures uncertainty.
        data: Name of the data in the results.
        label: Name of the manifest where the results say what was chosen on its rows; `name` if not given.
        synthetic: Label of the results; as the contract says if None.
        stand_in: Likewise.
        batch_size: Inputs at a time.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        selected: What `selection.select` gave of the same arguments; if None, it is asked.

    Raises `InputError` when manifest and model do not fit together.
    """
    contract = model.contract
    check(contract, margin, bool(operating_point), prevalence, repeated, aggregate, by)
    wanted = thresholds.wanted(operating_point, contract)
    of_model = _limits(model)
    answers_to = members.ready(model, uncertain, seed)
    selected = selected or selection.select(
        model,
        listed,
        name,
        split=split,
        view=view,
        validation_split=validation_split,
        damaged=damaged,
        sets=set_error is not None,
    )
    check_rows(model, selected, set_error, repeated, aggregate, by, validation_split, operating_point)
    tested, chosen = selected.tested.rows, selected.tested.inputs
    found, problems = _answers(model, chosen, batch_size)
    quality = None if problems is None else alarms.summary(found, problems, seed=seed, resamples=resamples)
    notes = [*selected.remarks, *selected.tested.notes]
    notes += [f"left out: {problem}" for problem in selected.tested.left_out]
    predicted = _predicted(tested, found)
    overlap = None if model.seen is None else seen.overlap(model.seen, predicted)
    validation = None
    if contract.positive or set_error is not None:
        validation = _validation(model, selected.validation, batch_size)
        if validation is None and contract.positive:
            notes.append("no validation rows: no threshold for a fixed specificity was chosen")
    uncalibrated = recalibration.undone(found, contract.calibration) if contract.calibration else None
    answers = answers_to(chosen, found, batch_size)
    if aggregate:
        answers = {way: [_aggregated(each, aggregate) for each in given] for way, given in answers.items()}
        uncalibrated = _aggregated(uncalibrated, aggregate) if uncalibrated else None
        found = _aggregated(found, aggregate)
        validation = replace(validation, of=_aggregated(validation.of, aggregate)) if validation else None
    summary = classification.summary(
        found,
        positive=contract.positive,
        validation=validation.of if validation else None,
        seed=seed,
        resamples=resamples,
        data=data or f"{name}, split {selected.split}",
        synthetic=contract.synthetic if synthetic is None else synthetic,
        stand_in=contract.stand_in if stand_in is None else stand_in,
    )
    if margin is not None:
        summary["at_margin"] = margins.at_threshold(
            found, margin, positive=contract.positive, prevalence=prevalence, seed=seed, resamples=resamples
        )
    if set_error is not None:
        summary |= _silence(found, validation, set_error, seed, resamples)
    summary["calibration_measures"] = _calibration(found, uncalibrated, contract, seed, resamples)
    for_others = None
    if wanted or prevalence is not None:
        common: dict[str, Any] = {
            "positive": contract.positive,
            "prevalence": prevalence,
            "seed": seed,
            "resamples": resamples,
        }
        summary["decision_curve"] = net_benefit.curve(found, **common)
        summary["operating_point"], for_others = thresholds.measured(found, validation, wanted, label or name, **common)
    summary["thresholds"] = thresholds.optimism(
        wanted, validation, predicted, model, label or name, sets=set_error is not None
    )
    if answers:
        summary["uncertainty"] = uncertainty.summary(
            {uncertainty.SINGLE: [found], **answers}, seed=seed, resamples=resamples
        )
    point = _point(summary)
    if repeated:
        summary["repeatability"] = _repeatability(found, contract, point, seed, resamples)
    of_strata: dict[str, Any] = {"positive": contract.positive, "seed": seed, "resamples": resamples}
    summary["strata"] = {each: strata.stratified(found, each, point=point, **of_strata) for each in by}
    summary["strata_differences"] = strata_differences.differences(
        found, by, threshold=point.threshold if point else None, **of_strata
    )
    summary |= {"rows": selected.summary(), "quality": quality, "model_limits": of_model}
    summary["seen"] = overlap.summary() if overlap else None
    told = [
        *seen.remarks(model.seen, overlap),
        *(f"WARNING: {each}" for each in summary["thresholds"]["warnings"]),
        *_remarks(uncertain.ensemble, predicted),
        *summary["thresholds"]["remarks"],
    ]
    return Evaluation(found, summary, tested, overlap, selected.tested.left_out, (*told, *notes), for_others)


def check(
    contract: Contract,
    margin: float | None,
    operating_point: bool,
    prevalence: float | None,
    repeated: bool,
    aggregate: Aggregate | None,
    by: Sequence[Stratum],
) -> None:
    """Raise `InputError` for what the contract, or the options together, rule out."""
    if margin is not None and not contract.positive:
        raise InputError(f"--margin: {contract.task} has no positive classes; leave it out")
    if (operating_point or prevalence is not None) and not contract.positive:
        given = "--operating-point" if operating_point else "--prevalence"
        raise InputError(f"{given}: {contract.task} has no positive classes; leave it out")
    if repeated and (aggregate or contract.views):
        raise InputError("--repeatability: needs one row per image, but here a row is a case; leave it out")
    if aggregate and "view" in by:
        raise InputError("--by view: after --aggregate a row is a case with all its views; leave one of them out")


def check_rows(
    model: Model,
    selected: Selection,
    set_error: float | None,
    repeated: bool,
    aggregate: Aggregate | None,
    by: Sequence[Stratum],
    validation_split: str,
    point: str | Chosen = "",
) -> None:
    """Raise `InputError` for what the rows rule out, before the model works for hours.

    `point` is a rule by which a threshold is to be chosen on the validation rows, or was on others; "" = neither.
    """
    kept = _kept_validation(model)
    if set_error is not None and selected.validation is None and kept is None:
        raise InputError(f"--set-error {set_error:g}: no validation rows; give rows the split {validation_split}")
    rows = _undecided(model, selected.tested)
    if (point and isinstance(point, str)) or set_error is not None:
        held = (
            _undecided(model, selected.validation) if selected.validation else predictions.read(kept) if kept else None
        )
        option = f"--set-error {set_error:g}" if set_error is not None else f"--operating-point {point}"
        if held is not None:
            predictions.check_apart(held, rows, option, "what is chosen on them would look too good")
    if aggregate:
        rows = _aggregated(rows, aggregate)
    for each in by:
        strata.strata(rows, each)
    if repeated:
        repeatability.cases_of(rows)


def _undecided(model: Model, part: Part) -> Predictions:
    """The rows as if the model knew nothing of them."""
    classes = model.contract.classes
    alike = np.full((len(part.inputs), len(classes)), 1 / len(classes), np.float32)
    return predictions.from_rows(part.inputs.rows, alike, classes)


def _limits(model: Model) -> list[str]:
    """What the model's makers say of its limits, in the card beside it."""
    folder = model.run_dir.root if model.run_dir else model.path.resolve().parent
    return model_card.own_limits(folder, model.contract.task, model.contract.version)


def _point(summary: Mapping[str, Any]) -> OperatingPoint | None:
    """The operating point that the results are of: that of the options, else of the contract; None = most probable."""
    found = summary.get("operating_point") or {}
    return OperatingPoint(found["rule"], found["threshold"]) if found.get("threshold") is not None else None


def _remarks(others: Sequence[Model], predicted: Manifest) -> list[str]:
    """What the other models of an ensemble had seen before, or do not say."""
    return [
        each.replace("the model", f"the model {other.path}", 1)
        for other in others
        for each in seen.remarks(other.seen, None if other.seen is None else seen.overlap(other.seen, predicted))
    ]


def _silence(
    found: Predictions,
    validation: Validation | None,
    set_error: float,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """Sets of classes that may miss the true one at this rate, and the error when the least sure are deferred."""
    assert validation is not None  # else `check_rows` has refused
    return {
        "prediction_sets": conformal.summary(found, validation.of, set_error, seed=seed, resamples=resamples),
        "deferral": conformal.deferral(found, seed=seed, resamples=resamples),
    }


def _calibration(
    found: Predictions, uncalibrated: Predictions | None, contract: Contract, seed: int, resamples: int
) -> dict[str, Any]:
    """How well the model is calibrated here, and how well it would be without the calibration that it has."""
    now = calibration.measured(found, contract.positive, seed=seed, resamples=resamples)
    if contract.calibration is None or uncalibrated is None:
        return {"before": now, "after": None}
    before = calibration.measured(uncalibrated, contract.positive, seed=seed, resamples=resamples)
    return {**asdict(contract.calibration), "before": before, "after": now}


def _repeatability(
    found: Predictions, contract: Contract, point: OperatingPoint | None, seed: int, resamples: int
) -> dict[str, Any]:
    """Of the binary decision, where there is one: by the operating point, else by the likeliest class."""
    decisions, names = found.decisions, found.classes
    if contract.positive:
        _, called, score = found.positive(contract.positive)
        if point is not None:
            called = score >= point.threshold
        decisions, names = called.astype(np.int64), ("negative", "positive")
    return repeatability.summary(found, decisions, names, seed=seed, resamples=resamples)


def _answers(model: Model, chosen: Inputs, batch_size: int) -> tuple[Predictions, list[tuple[Problem, ...]] | None]:
    """Predictions, and what is wrong with the images, where the model has a gate."""
    probabilities, problems = runtime.answers(model, chosen.files, batch_size)
    return predictions.from_rows(chosen.rows, probabilities, model.contract.classes), problems


def _predicted(rows: Manifest, found: Predictions) -> Manifest:
    """The rows whose image or case was predicted."""
    ids = set(found.table["id"])
    return rows.where(rows.rows["path"].isin(ids) | rows.rows["case"].isin(ids))


def _validation(model: Model, part: Part | None, batch_size: int) -> Validation | None:
    """Predictions on the validation rows of the manifest, else those that the run itself kept, else None."""
    if part is not None:
        found = _answers(model, part.inputs, batch_size)[0]
        return Validation(found, _predicted(part.rows, found))
    kept = _kept_validation(model)
    if kept is None:
        return None
    return Validation(recalibration.applied(predictions.read(kept), model.contract.calibration))


def _kept_validation(model: Model) -> Path | None:
    kept = model.run_dir and model.run_dir.validation_predictions
    return kept if kept and kept.is_file() else None


def _aggregated(found: Predictions, how: Aggregate) -> Predictions:
    named = (found.table["case"] != "").any()
    if not named and not (found.table["group"] != "").any():
        raise InputError("--aggregate: no row has a case or a group; fill one of these columns of the manifest")
    return predictions.aggregate(found, "case" if named else "group", how)
