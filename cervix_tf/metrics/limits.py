"""What a model's numbers cannot say, in sentences: for the model card and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOT_A_DEVICE = (
    "Not a medical device. Not evaluated, cleared or approved for diagnosis, screening or triage of patients; "
    "no decision about a person may rest on it."
)
ANY_IMAGE = "It answers for any image, even one that shows no cervix or cell."
IN_ORDER = "Views given in a different order from the one stated lead to wrong answers without a warning."
FEWEST = 20
"""Test inputs of a class below which its rates say next to nothing."""
_FIRST = 3


def any_image(gate: bool) -> str:
    """What it says of an image that shows something else, with and without a quality gate."""
    if not gate:
        return ANY_IMAGE
    return (
        f"{ANY_IMAGE} predict, evaluate and the browser page warn about images that are too dark, too bright, cut off, "
        "blurred or, by color and texture, unlike the training images (quality_gate.json); other programs do not."
    )


def of(metrics: Mapping[str, Any]) -> list[str]:
    """The limits that follow from a metrics.json: where it was measured, on how few, and what probabilities are."""
    counts = dict(zip(metrics["classes"], map(sum, metrics["confusion"]), strict=True))
    untested = [name for name, count in counts.items() if not count]
    few = [f"{name} ({count})" for name, count in counts.items() if 0 < count < FEWEST]
    return [
        f"Measured on {metrics['n']} inputs of {metrics['groups']} groups from one source; other cameras, clinics and "
        "populations will differ.",
        *([f"No test input, so not tested: {', '.join(untested)}."] if untested else []),
        *([f"Fewer than {FEWEST} test inputs of {', '.join(few)}: their rates are very uncertain."] if few else []),
        "Probabilities are the network's own, only as well calibrated as the report shows; they are not a patient's "
        "risk of disease.",
    ]


def same_weights(where: str) -> str:
    """Where the same command gives the same weights."""
    return f"The same command gives the same weights {where}."


def own(card: Mapping[str, Any]) -> list[str]:
    """Those limits of a model card's JSON that no program wrote: what its makers know of the model, in their order.

    Raises KeyError, TypeError or AttributeError for what is no such card.
    """
    data, names = card["data"], card["data"]["classes"]
    measured = {"classes": list(names), "confusion": [[count] for count in names.values()]}
    measured |= {name: data[name] for name in ("n", "groups")}
    written = {NOT_A_DEVICE, IN_ORDER, any_image(False), any_image(True), *of(measured)}
    return [each for each in card["limits"] if each not in written and not each.startswith(same_weights("")[:-2])]


def first(metrics: Mapping[str, Any], model: Sequence[str] = ()) -> list[str]:
    """The one to three that a reader must not miss: what the model is for, by its makers, then those of its numbers."""
    return [*model[:1], *of(metrics)][:_FIRST]
