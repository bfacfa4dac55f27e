"""What a page says of its heat maps: what they are, and what they were found to be worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cervix_tf.explain import overlay
from cervix_tf.report import formatting
from cervix_tf.run_dir import RunDir, read_object

MEASURED = Path(__file__).parents[1] / "explain" / "measured.yaml"
"""What `tests/benchmarks/explanations.py` found."""


@dataclass(frozen=True)
class Told:
    """Words about the heat maps of one page."""

    shown: bool
    caption: str
    worth: str


def told(run: RunDir, shown: bool) -> Told:
    """Caption and worth of a run's heat maps; `shown` says whether the page has any."""
    if not shown:
        return Told(shown, "", "")
    return Told(shown, _caption(run), _measured_here(run) or _measured_elsewhere())


def _caption(run: RunDir) -> str:
    if not run.heat_maps.is_file():
        return "What the network reacted to, in coarse cells; not an outline. Warm colors count most."
    found = read_object(run.heat_maps)
    return f"{found['method']}: {overlay.told(found['cells'])}. Warm colors count most."


def _measured_here(run: RunDir) -> str:
    """Where the data are drawn, the share of the heat in the lesion; empty where nobody knows where it should be."""
    if not run.evidence.is_file():
        return ""
    found = read_object(run.evidence)
    heat, even = found["heat"], found["even"]
    if not formatting.defined(heat) or not formatting.defined(even):
        return ""
    better = heat["low"] is not None and heat["low"] > even["value"]
    return (
        f"What heat maps are worth here: {_share(heat)} of the heat lies in the box around the drawn lesion; "
        f"{_share(even)} would if it were spread evenly. They "
        + ("point to it, coarsely." if better else "do not point to it: read nothing into them.")
    )


def _measured_elsewhere() -> str:
    found: dict[str, Any] = yaml.safe_load(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    text = (
        "What heat maps are worth here was not measured: nobody outlined in these images what the network should "
        "have seen."
    )
    if found:
        middle = found["middle"]["value"]
        no_better = (found["pointing"]["low"] or 0.0) <= middle
        text += (
            f" On {found['images']} drawn images with a known lesion, {found['method']} of a {found['network']} had "
            f"its warmest point in the lesion in {_share(found['pointing'])} of them; chance would in "
            f"{_share(found['chance'])}, and always pointing to the middle in {_share(found['middle'])}"
            f"{': it is not known to beat that guess' if no_better else ''}. Maps of networks trained with other seeds "
            f"agreed with a rank correlation of {found['agreement']['value']:.2f}."
        )
    return text


def _share(measured: dict[str, Any]) -> str:
    ends = formatting.interval("share_of", measured)
    return f"{formatting.value('share_of', measured)}{f' {ends}' if ends else ''}"
