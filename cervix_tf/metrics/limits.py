"""What a model's numbers cannot say, in sentences: for the model card and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_A_DEVICE = (
    "Not a medical device. Not evaluated, cleared or approved for diagnosis, screening or triage of patients; "
    "no decision about a person may rest on it."
)
FEWEST = 20
"""Test inputs of a class below which its rates say next to nothing."""


def any_image(gate: bool) -> str:
    """What it says of an image that shows something else, with and without a quality gate."""
    told = "It answers for any image, also for one that shows no cervix or no cell."
    if not gate:
        return told
    return (
        f"{told} predict, evaluate and the page warn about images that are too dark, too bright, cut off, blurred "
        "or, by color and texture, unlike the training images (quality_gate.json); other programs do not."
    )


def of(metrics: Mapping[str, Any]) -> list[str]:
    """The limits that follow from a metrics.json: where it was measured, on how few, and what probabilities are."""
    few = [
        f"{name} ({count})"
        for name, count in zip(metrics["classes"], map(sum, metrics["confusion"]), strict=True)
        if count < FEWEST
    ]
    return [
        f"Measured on {metrics['n']} inputs of {metrics['groups']} groups from one source; other cameras, clinics and "
        "populations will differ.",
        *([f"Fewer than {FEWEST} test inputs of {', '.join(few)}: their rates are very uncertain."] if few else []),
        "Probabilities are a network's, as calibrated as the report shows; they are not a patient's risk of disease.",
    ]
