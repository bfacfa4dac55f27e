"""How far an exported file's answers are from the model's own, and whether that is close enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError


class Refused(InputError):
    """An export whose answers are too far from the model's own; the message gives the figures.

    `kept`: what is known of the other files that the same command wrote.
    """

    def __init__(self, message: str, kept: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.kept = list(kept)


@dataclass(frozen=True)
class Parity:
    """Comparison of two sets of probabilities on the same inputs."""

    n: int
    """Inputs compared."""
    agreement: float
    """Share of inputs with the same most probable class."""
    widest_change: float
    """Of the inputs whose decision changed, the largest lead that the reference's class had over the next one: small
    where only near-ties flipped. 0 if none changed."""
    max_difference: float
    """Largest absolute difference of a probability."""
    mean_difference: float
    accuracy_change: dict[str, Any]
    """Exported minus reference accuracy: value, low, high, n (labeled inputs), method; null without labels."""
    point_agreement: float | None = None
    """Share of inputs that the contract's operating point calls alike; None where it has none."""
    widest_point_change: float | None = None
    """Of the inputs called otherwise, how far the reference's score was from the threshold at most. 0 if none was."""

    def problems(self, max_drop: float, min_agreement: float) -> list[str]:
        """Why the export should be refused, one line a reason with its figures; empty = close enough.

        `max_drop` is in points of accuracy (percent), `min_agreement` a share. One right decision may be lost where any
        drop is allowed: of fewer than 100 inputs it is more than a point, and says nothing.
        """
        found = []
        change = self.accuracy_change
        lost = 0 if change["value"] is None else round(-change["n"] * change["value"])
        if lost > (max_drop and max(1, max_drop / 100 * change["n"])):
            found.append(
                f"accuracy changes by {100 * change['value']:+.1f} points "
                f"[{100 * change['low']:+.1f}, {100 * change['high']:+.1f}] (n={change['n']}), "
                f"more than --max-drop {max_drop:g} allows"
            )
        if self.agreement < min_agreement:
            found.append(
                f"only {100 * self.agreement:.1f} % of {self.n} decisions agree (largest difference of a "
                f"probability {self.max_difference:.3f}; changed decisions had led by up to "
                f"{self.widest_change:.3f}), less than --min-agreement {min_agreement:g}"
            )
        if self.point_agreement is not None and self.point_agreement < min_agreement:
            found.append(
                f"only {100 * self.point_agreement:.1f} % of {self.n} decisions agree at the operating point "
                f"(scores up to {self.widest_point_change:.3f} from the threshold changed sides), less than "
                f"--min-agreement {min_agreement:g}"
            )
        return found

    def summary(self) -> dict[str, Any]:
        """The fields, as they stand in exports.json: those of the operating point only where there is one."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def compare(
    reference: np.ndarray,
    exported: np.ndarray,
    labels: np.ndarray,
    point: OperatingPoint | None = None,
    positive: Sequence[int] = (),
) -> Parity:
    """Parity of `exported` with `reference`, both (inputs, classes) probabilities; labels are indices, -1 = none.

    With an operating point also of what it calls positive, by the classes of the indices `positive`. A probability that
    is not finite counts as a difference of 1 and as a wrong decision.
    """
    if reference.shape != exported.shape or not len(reference):
        raise ValueError(f"cannot compare {exported.shape} with {reference.shape} probabilities")
    finite = np.isfinite(exported).all(axis=1)
    difference = np.where(finite[:, None], np.abs(exported - reference), 1.0)
    decided, expected = np.where(finite, exported.argmax(axis=1), -2), reference.argmax(axis=1)
    known = labels >= 0
    second, first = np.sort(reference, axis=1)[:, -2:].T
    alike = widest = None
    if point is not None:
        score, called = point.called(reference, positive)
        changed = ~finite | (called != point.called(exported, positive)[1])
        alike = float(np.mean(~changed))
        widest = float(np.max(np.abs(score - point.threshold), where=changed, initial=0.0))
    return Parity(
        n=len(reference),
        agreement=float(np.mean(decided == expected)),
        widest_change=float(np.max(first - second, where=decided != expected, initial=0.0)),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        accuracy_change=paired_change((expected == labels)[known], (decided == labels)[known]),
        point_agreement=alike,
        widest_point_change=widest,
    )


def paired_change(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """Change of a proportion between paired outcomes (bool arrays), with its adjusted Wald 95 % interval.

    The interval adds half a pair to each of the four cells, so it has a width even where no pair changed.

    Source: Agresti and Min, Statistics in Medicine 24, 2005.
    """
    n = len(before)
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0, "method": "undefined: no labeled input"}
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    b, c, total = gained + 0.5, lost + 0.5, n + 2
    half = NormalDist().inv_cdf(0.975) * math.sqrt(b + c - (b - c) ** 2 / total) / total
    middle = (b - c) / total
    return {
        "value": (gained - lost) / n,
        "low": max(-1.0, middle - half),
        "high": min(1.0, middle + half),
        "n": n,
        "method": "Agresti-Min 95% of paired proportions",
    }
