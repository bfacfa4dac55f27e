"""Calibration of a finished model: a few numbers, fitted on validation, by which probabilities become shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cervix_tf.decision import Calibration, Method
from cervix_tf.errors import InputError
from cervix_tf.metrics.predictions import Predictions

Array = NDArray[np.float64]
FEWEST_ROWS = 20
"""Labeled validation rows that a calibration is fitted on."""
FEWEST_OF_CLASS = 10
"""Those of each class, where each class has a number of its own."""
_LARGEST_SCALE = 50.0


def fitted(validation: Predictions, method: Method, option: str = "--calibrate") -> Calibration:
    """The calibration that makes the validation labels likeliest, by maximum likelihood over the labeled rows.

    Platt's two classes have his smoothed targets, as in scikit-learn. Biases sum to 0.

    Raises `InputError`, naming `option`, for too few rows, and where the rows leave open how sure the model may be:
    when it is right on all of them, or is no better than chance.
    """
    known = validation.where(validation.labels >= 0)
    counts = check(known.labels, known.classes, method, option)
    logs = np.log(np.clip(known.probabilities, np.finfo(np.float32).tiny, 1.0))
    truth = np.eye(len(counts))[known.labels]
    if method == "platt" and len(counts) == 2:
        right = (counts + 1) / (counts + 2)  # of each class, the target of its rows
        truth = np.where(truth > 0, right[known.labels][:, None], 1 - right[known.labels][:, None])
    found = _likeliest(logs, truth, method)
    finite = method == "platt" and len(counts) == 2  # by the smoothed targets
    if not finite and (applied(known, found).decisions == known.labels).all():
        why = "the calibrated model is right on every row, so the best confidence is unbounded"
    elif min(found.scale) <= 1 / _LARGEST_SCALE:
        why = "the model is no better than chance there"
    else:
        return found
    raise InputError(
        f"{option} {method}: the {len(known)} validation rows do not say how sure it may be ({why}); "
        f"give more of them, or leave {option} out"
    )


def check(
    labels: NDArray[np.int64], classes: Sequence[str], method: Method, option: str = "--calibrate"
) -> NDArray[np.int64]:
    """Rows of each class, (classes,), among the labels of validation, -1 = none; raises `InputError` for too few."""
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if counts.sum() < FEWEST_ROWS:
        raise InputError(f"{option} {method}: {counts.sum()} labeled validation rows; needs {FEWEST_ROWS} or more")
    if method != "temperature" and counts.min() < FEWEST_OF_CLASS:
        rare = classes[int(counts.argmin())]
        raise InputError(
            f"{option} {method}: {counts.min()} validation rows of {rare!r}; a bias needs {FEWEST_OF_CLASS} of each "
            f"class: use {option} temperature"
        )
    return counts


def applied(predictions: Predictions, calibration: Calibration | None) -> Predictions:
    """The predictions of the calibrated model, of those of the model without; None changes nothing."""
    return predictions if calibration is None else _with(predictions, calibration.applied(predictions.probabilities))


def undone(predictions: Predictions, calibration: Calibration) -> Predictions:
    """The predictions of the model without its calibration."""
    return _with(predictions, calibration.undone(predictions.probabilities))


def _with(predictions: Predictions, probabilities: Array) -> Predictions:
    columns = [f"p_{name}" for name in predictions.classes]
    return replace(predictions, table=predictions.table.assign(**dict(zip(columns, probabilities.T, strict=True))))


def _likeliest(logs: Array, truth: Array, method: Method) -> Calibration:
    """Least mean cross-entropy of softmax(scale * logs + bias) with `truth`, both (rows, classes): a convex problem."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    rows, classes = logs.shape
    scales = classes if method == "vector" else 1
    biases = 0 if method == "temperature" else classes

    def loss(free: Array) -> tuple[float, Array]:
        scale, bias = free[:scales], free[scales:] if biases else 0.0
        log = log_softmax(scale * logs + bias, axis=1)
        error = (np.exp(log) - truth) / rows
        along = (error * logs).sum(axis=0)
        return -float((truth * log).sum()) / rows, np.r_[
            along if scales > 1 else along.sum(), error.sum(axis=0)[:biases]
        ]

    start = np.r_[np.ones(scales), np.zeros(biases)]
    limits = [(1 / _LARGEST_SCALE, _LARGEST_SCALE)] * scales + [(None, None)] * biases
    best = minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}).x
    scale, bias = np.broadcast_to(best[:scales], classes), best[scales:] if biases else np.zeros(classes)
    return Calibration(method, tuple(map(float, scale)), tuple(map(float, bias - bias.mean())))
