"""From probabilities to a decision: the calibration inside a model, and the threshold that its contract names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Method = Literal["temperature", "platt", "vector"]
_RULE = re.compile(r"[a-z]{1,20}(:[0-9.e+-]{1,20})?")
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Calibration:
    """How a model's probabilities become calibrated ones: softmax(scale * log(probability) + bias).

    | method | free |
    |---|---|
    | temperature | one scale for all classes |
    | platt | one scale, and a bias for each class; of two classes Platt's sigmoid |
    | vector | a scale and a bias for each class |

    Source: Guo et al. 2017, sec. 4; Platt 1999. Log-probabilities stand in for logits, from which they differ by a
    number that is the same for all classes; so "vector" is the diagonal case of Kull et al. 2019.
    """

    method: str
    """One of `METHODS`."""
    scale: tuple[float, ...]
    """Above 0, one a class."""
    bias: tuple[float, ...]
    """One a class."""

    def applied(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """(rows, classes) calibrated probabilities of what the model gave, (rows, classes)."""
        return _softmax(np.multiply(_log(probabilities), self.scale) + self.bias)

    def undone(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """What the model gave, of calibrated probabilities, both (rows, classes)."""
        scale = np.array(self.scale)
        logs = np.subtract(_log(probabilities), self.bias)
        # log(calibrated) + c = scale * log(given) + bias, where c makes the given ones sum to 1: it lies between these.
        most = (-logs).min(axis=1)
        least = (-logs - scale * np.log(len(scale))).min(axis=1)
        for _ in range(60):
            middle = (least + most) / 2
            over = np.exp((logs + middle[:, None]) / scale).sum(axis=1) > 1
            least, most = np.where(over, least, middle), np.where(over, middle, most)
        return _softmax((logs + most[:, None]) / scale)


@dataclass(frozen=True)
class OperatingPoint:
    """From which score on an input is positive; the score is the positive classes' summed probability."""

    rule: str
    """How it was chosen on validation, as `cervix_tf.metrics.operating_points` writes it."""
    threshold: float
    """In [0, 1], or just above 1: no input is positive."""

    def called(
        self, probabilities: ArrayLike, positive: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Score and whether it reaches the threshold of each of the probabilities, (rows, classes); both (rows,)."""
        score = np.asarray(probabilities, dtype=np.float64)[:, list(positive)].sum(axis=1)
        return score, score >= self.threshold


def parsed(kind: type[Calibration] | type[OperatingPoint], value: Any) -> Calibration | OperatingPoint:
    """The calibration or operating point that a JSON object holds; `ValueError` if it holds something else."""
    names = [each.name for each in fields(kind)]
    if not isinstance(value, dict) or sorted(value) != sorted(names) or not isinstance(value[names[0]], str):
        raise ValueError
    given: dict[str, Any] = {names[0]: value[names[0]]}
    for name in names[1:]:
        found = value[name] if kind is Calibration else [value[name]]
        if not isinstance(found, list) or not all(type(part) in (int, float) and math.isfinite(part) for part in found):
            raise ValueError
        given[name] = tuple(map(float, found)) if kind is Calibration else float(found[0])
    return kind(**given)


def problems(
    calibration: Calibration | None, point: OperatingPoint | None, classes: int, positive: int
) -> Iterator[str]:
    """What no contract of so many classes, and positive ones, can say of its calibration and operating point."""
    if calibration is not None:
        if calibration.method not in METHODS:
            yield f"calibration {calibration.method!r}: is one of {', '.join(METHODS)}"
        if {len(calibration.scale), len(calibration.bias)} != {classes} or min(calibration.scale, default=0) <= 0:
            yield f"calibration: needs a scale above 0 and a bias for each of the {classes} classes"
    if point is not None and not positive:
        yield "operating_point: no class is positive"
    if point is not None and not _RULE.fullmatch(point.rule):
        yield f"operating_point {point.rule[:40]!r}: is not a rule"
    if point is not None and not 0 <= point.threshold <= 1 + 1e-6:
        yield f"operating_point: threshold {point.threshold:g}: is a score from 0 to 1"


def _log(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float32).tiny, 1.0))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
