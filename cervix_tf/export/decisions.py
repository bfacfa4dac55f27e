"""Calibration and operating point of a finished run, chosen on validation and put into its model and contract."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

from cervix_tf import atomic, runs
from cervix_tf.contract import Contract
from cervix_tf.decision import Method, OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.export import formats, serving
from cervix_tf.metrics import calibration, operating_points, predictions, recalibration
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir, write_json

NONE: Literal["none"] = "none"


def decide(out: RunDir, calibrate: Method | Literal["none"] | None = None, operating_point: str = "") -> Contract:
    """Give a run's model a calibration, its contract an operating point, or take them away; the contract as it is then.

    Both are chosen on the run's validation predictions: the threshold on those of the calibrated model. None, or "",
    leaves what there is, but that a new calibration asks for the threshold of the same rule. How good both are on the
    run's test predictions stands in decisions.json. Files exported before are of another model and go; `formats.run`
    writes them anew. Killed at any point, the same call given again ends it.

    Raises `InputError` when there are no validation predictions, they are too few, or share a group with the test rows.
    """
    before = runs.contract(out)
    if before.neighbors and calibrate not in (None, NONE):
        raise InputError(f"--calibrate {calibrate}: {before.task} gives embeddings, not probabilities; leave it out")
    if operating_point not in ("", NONE) and not before.positive:
        raise InputError(f"--operating-point {operating_point}: {before.task} has no positive classes; leave it out")
    given = _read(out.validation_predictions, before)
    found = before.calibration
    if calibrate is not None:
        found = None if calibrate == NONE else recalibration.fitted(given, calibrate)
    rule = operating_point or (before.operating_point.rule if before.operating_point else NONE)
    point = None
    if rule != NONE:
        wanted = operating_points.rule(rule)
        threshold = operating_points.choose(recalibration.applied(given, found), before.positive, wanted)
        point = OperatingPoint(str(wanted), threshold)
    after = replace(before, calibration=found, operating_point=point, digest="")
    found_on_test = measured(out, after, given)
    _replace(out, before, after)
    write_json(out.decisions, found_on_test)
    return after


def measured(out: RunDir, contract: Contract, validation: Predictions) -> dict[str, Any]:
    """What decisions.json holds: how good calibration and operating point are on the run's test predictions.

    Raises `InputError` when validation and test share a group: what was chosen would look too good.
    """
    tested = _read(out.predictions, contract)
    why = "what is chosen on one would look too good on the other"
    predictions.check_apart(validation, tested, str(out.validation_predictions), why)
    now = recalibration.applied(tested, contract.calibration)
    found: dict[str, Any] = {"calibration_measures": None, "operating_point": None}
    if contract.calibration is not None:
        found["calibration_measures"] = {
            **asdict(contract.calibration),
            "before": calibration.measured(tested, contract.positive),
            "after": calibration.measured(now, contract.positive),
        }
    if contract.operating_point is not None:
        found["operating_point"] = operating_points.at(now, contract.operating_point, positive=contract.positive)
    return found


def _read(path: Any, contract: Contract) -> Predictions:
    found = predictions.read(path)
    if found.classes != contract.classes:
        raise InputError(
            f"{path}: its classes are {', '.join(found.classes)}, the model's {', '.join(contract.classes)}; "
            "are both from the same run?"
        )
    return found


def _replace(out: RunDir, before: Contract, after: Contract) -> None:
    """Write the contract, unsealed, then the model; in between, neither is taken for the other's."""
    from cervix_tf.models import keras_file

    model = keras_file.load(out.model)
    inside = serving.calibration_of(model)
    if (before, inside) == (after, after.calibration):
        return
    formats.remove(out)
    after.write(out.contract)
    if inside != after.calibration:
        with atomic.replacing(out.model) as part:
            serving.calibrated(model, after.calibration).save(part)
