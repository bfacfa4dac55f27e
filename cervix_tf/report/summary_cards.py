"""What a reader sees first: the main metrics with interval, n and method, and what data they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cervix_tf.config import is_drawn
from cervix_tf.report import formatting
from cervix_tf.wording import amount

_MAIN = ("accuracy", "macro_f1", "harmonic_mean_tpr")
_BINARY = ("sensitivity", "specificity", "auc")
_WITHOUT_BINARY = ("macro_auc", "balanced_accuracy", "cohens_kappa")
_MANY_ALARMS = 1 / 3
BY_MOST_PROBABLE = "by the most probable class"
"""What is said of a number beside those of an operating point, which decides otherwise."""


@dataclass(frozen=True)
class Card:
    """One metric, large."""

    name: str
    of: str
    """What a binary metric counts as positive, and what decided; empty where nothing has to be said."""
    value: str
    """With unit, or `not defined (why)`."""
    interval: str
    n: int | None
    method: str
    defined: bool
    bar: tuple[float, float, float] | None
    """Low, value and high in percent of the width; None where it does not lie in [0, 1]."""
    key: str = ""
    """Its name in metrics.json."""


def cards(metrics: Mapping[str, Any]) -> list[Card]:
    """The main metrics of a metrics.json, those that it has."""
    if not metrics:
        return []
    whole = metrics.get("metrics") or {}
    binary = metrics.get("binary") or {}
    read_as = f"positive = {' or '.join(binary['positive'])}" if binary.get("positive") else ""
    point = metrics.get("operating_point") or {}
    at = {} if point.get("threshold") is None else point["metrics"]  # what the sentence above the cards counts
    found = [card(name, whole[name], BY_MOST_PROBABLE if at else "") for name in _MAIN if name in whole]
    if binary:
        of = {name: f"{read_as}; at its operating point" if name in at else read_as for name in _BINARY}
        measured = {name: binary["metrics"][name] for name in _BINARY if name in binary["metrics"]}
        return [card(name, at.get(name, each), of[name]) for name, each in measured.items()] + found
    return found + [card(name, whole[name]) for name in _WITHOUT_BINARY if name in whole]


def counts(metrics: Mapping[str, Any]) -> dict[str, int] | None:
    """How many test cases are positive, missed of them, negative, and alarmed of them; None without positive classes.

    At the operating point where there is one, else by the most probable class.
    """
    positive = (metrics.get("binary") or {}).get("positive") or ()
    point, matrix = metrics.get("operating_point") or {}, metrics.get("confusion") or []
    if not positive or not sum(map(sum, matrix)):
        return None
    if point.get("threshold") is not None:
        return dict(point["counts"])
    of = [name in positive for name in metrics["classes"]]
    found = dict.fromkeys(("positive", "missed", "negative", "alarmed"), 0)
    for truth, row in zip(of, matrix, strict=True):
        for said, count in zip(of, row, strict=True):
            found["positive" if truth else "negative"] += count
            if truth != said:
                found["missed" if truth else "alarmed"] += count
    return found


def in_cases(metrics: Mapping[str, Any]) -> str:
    """What the model got wrong, counted in cases: the first sentence of a report; empty if unknown."""
    matrix = metrics.get("confusion") or []
    total = sum(map(sum, matrix))
    if not total:
        return ""
    by = counts(metrics)
    if by is None:
        wrong = total - sum(row[at] for at, row in enumerate(matrix))
        return f"Of {_cases(total)}, it classified {total - wrong} correctly and {wrong} incorrectly."
    point = metrics.get("operating_point") or {}
    at = "" if point.get("threshold") is None else f"At its operating point ({point['rule']}), "
    return (
        f"{at}{'of' if at else 'Of'} {_cases(by['positive'])} with {' or '.join(metrics['binary']['positive'])}, "
        f"it missed {by['missed']}; of {_cases(by['negative'])} without, it raised a false alarm in {by['alarmed']}."
    )


def _cases(count: int) -> str:
    return amount(count, "case")


def card(name: str, measured: Mapping[str, Any], of: str = "") -> Card:
    """One metric as a card."""
    value, low, high = (measured.get(key) for key in ("value", "low", "high"))
    bar = None
    if formatting.defined(measured) and low is not None and high is not None and low >= 0 and high <= 1:
        bar = (round(100 * low, 3), round(100 * float(value or 0), 3), round(100 * high, 3))
    return Card(
        formatting.title(name),
        of,
        formatting.value(name, measured),
        formatting.interval(name, measured),
        measured.get("n"),
        str(measured.get("method") or ""),
        formatting.defined(measured),
        bar,
        name,
    )


def text(name: str, measured: Mapping[str, Any] | None) -> str:
    """Value and interval on one line: `0.912 [0.841, 0.968]`."""
    return f"{formatting.value(name, measured)} {formatting.interval(name, measured)}".strip()


def percent(measured: Mapping[str, Any]) -> str:
    """A share as it stands in a sentence: `54.7 % [46.0, 63.3]`."""
    ends = "" if measured["low"] is None else f" [{100 * measured['low']:.1f}, {100 * measured['high']:.1f}]"
    return f"{100 * measured['value']:.1f} %{ends}"


def many_alarms(alarms: Mapping[str, Any]) -> bool:
    """Whether the gate warned about so many inputs that a reader must know it before every number."""
    return bool(alarms["value"] >= _MANY_ALARMS)


def majority(metrics: Mapping[str, Any]) -> str:
    """What always naming the majority class would reach, which accuracy has to beat; empty if unknown."""
    rows = [sum(row) for row in metrics.get("confusion") or []]
    if not sum(rows):
        return ""
    name, share = metrics["classes"][rows.index(max(rows))], max(rows) / sum(rows)
    return f"Always answering {name}, the majority class, would be right in {100 * share:.1f} % of cases."


def banners(
    metrics: Mapping[str, Any],
    contract: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    selected_on_test: bool = False,
) -> list[tuple[str, str]]:
    """Warnings that belong above every number, each a word and a sentence."""
    found = []
    drawn = "The images were drawn by a program. These numbers say nothing about patients."
    other = "Not the paper's data: its numbers and ours do not measure the same thing."
    chosen = "As published, the epoch was chosen on the test split, so these numbers are too good."
    # A study that deploys nothing has neither metrics nor contract.
    if metrics.get("synthetic") or contract.get("synthetic") or is_drawn(config):
        found.append(("SYNTHETIC DATA", drawn))
    if metrics.get("stand_in") or contract.get("stand_in"):
        found.append(("STAND-IN DATA", other))
    found += [("SEEN IN TRAINING", f"{each}.") for each in (metrics.get("seen") or {}).get("warnings", ())]
    found += [("THRESHOLDS", f"{each}.") for each in (metrics.get("thresholds") or {}).get("warnings", ())]
    quality = metrics.get("quality") or {}
    if quality and many_alarms(quality["alarms"]):
        many = "More than half" if quality["alarms"]["value"] > 0.5 else "A third or more"
        at_fault = f"({percent(quality['alarms'])}) are {' or '.join(quality['by'])}"
        found.append(("QUALITY", f"{many} of these images {at_fault}: do not trust the model's answers here."))
    if selected_on_test:
        found.append(("SELECTED ON THE TEST SPLIT", chosen))
    return found
