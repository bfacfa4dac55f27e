"""The first screen of a page, for a clinician: what was asked, what came out, when to stay silent, the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cervix_tf.metrics import limits
from cervix_tf.metrics.limits import NOT_A_DEVICE
from cervix_tf.report import formatting, summary_cards
from cervix_tf.report.summary_cards import Card, percent
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from cervix_tf.metrics.predictions import Predictions

EXAMPLE = 0.05
"""Prevalence that `alarms` takes as an example where none was stated."""
_RARE = 0.005
_SHOWN_DEFERRAL = 0.2
_WORDS = {
    "sensitivity": ("Found, among cases with it", "found", "missed"),
    "specificity": ("Cleared, among cases without it", "cleared", "given a false alarm"),
}


@dataclass(frozen=True)
class Rate:
    """One number as people say it, above its metric with interval."""

    words: str
    card: Card
    of_100: str
    """`Of 100 such cases, about 85 are found (79 to 90) and 15 are missed.`; empty where it is not defined."""


@dataclass(frozen=True)
class FirstScreen:
    """What stands before everything else."""

    asked: str
    tested: str
    in_cases: str
    threshold: str
    """Where it was chosen and for what; empty without one."""
    rates: list[Rate]
    counts: dict[str, int] | None
    """Positive, missed of them, negative, alarmed of them; None without positive classes."""
    alarms: str
    silent: list[str]
    limits: list[str]
    """The most important ones."""
    other_limits: list[str]
    card_limits: list[str]
    """What else the model's card says, which is of its original test."""
    not_a_device: str = NOT_A_DEVICE


def screen(
    metrics: Mapping[str, Any],
    views: Sequence[str],
    deferral: Sequence[Mapping[str, Any]],
    gate: bool = False,
    of_model: Sequence[str] = (),
) -> FirstScreen | None:
    """What a metrics.json says, in people's words; None where there is no confusion matrix.

    `deferral` is that of `conformal.deferral`, empty where it is unknown; `gate` says whether the model has a quality
    gate; `of_model` are the limits that the makers of the model state.
    """
    if not sum(map(sum, metrics.get("confusion") or [])):
        return None
    first = limits.first(metrics, of_model)
    return FirstScreen(
        _asked(metrics, views),
        _tested(metrics),
        summary_cards.in_cases(metrics),
        _threshold(metrics.get("operating_point") or {}),
        _rates(metrics),
        summary_cards.counts(metrics),
        alarms(metrics),
        _silent(metrics, deferral, gate),
        first,
        [each for each in (*limits.of(metrics), limits.any_image(gate)) if each not in first],
        [each for each in of_model if each not in first],
    )


def _asked(metrics: Mapping[str, Any], views: Sequence[str]) -> str:
    positive, classes = (metrics.get("binary") or {}).get("positive") or (), metrics["classes"]
    shown = f"the {len(views)} views of a case show" if views else "an image show"
    if positive:
        others = [name for name in classes if name not in positive]
        return f"{'Do' if views else 'Does'} {shown} {' or '.join(positive)}, or only {' or '.join(others)}?"
    return f"Which of {len(classes)} classes {'do' if views else 'does'} {shown}: {', '.join(classes)}?"


def _tested(metrics: Mapping[str, Any]) -> str:
    counts, n = summary_cards.counts(metrics), sum(map(sum, metrics["confusion"]))
    with_ = f": {counts['positive']} positive, {counts['negative']} negative" if counts else ""
    groups, unlabeled = metrics.get("groups"), metrics.get("unlabeled")
    more = f" {unlabeled} more {'has' if unlabeled == 1 else 'have'} no label." if unlabeled else ""
    of = f" of {amount(groups, 'group')} (women, visits, slides or fields)" if groups and groups != n else ""
    rows = metrics.get("rows") or {}
    remarks = [f" {each[:1].upper()}{each[1:]}." for each in rows.get("remarks", ())]
    return f"Tested on {amount(n, 'case')}{of}{with_}.{more}{''.join(remarks)}{_left_out(rows)}"


def _left_out(rows: Mapping[str, Any]) -> str:
    """How many damaged images were skipped, and the first ones' names."""
    skipped = rows.get("left_out") or {"images": 0}
    if not skipped["images"]:
        return ""
    more = skipped["images"] - len(skipped["first"])
    names = [*skipped["first"], *([f"and {more} more"] if more else [])]
    count = amount(skipped["images"], "image")
    return f" Left out as damaged: {count} ({', '.join(names)})."


def _threshold(point: Mapping[str, Any]) -> str:
    """Where the threshold was chosen and for what, and of a rate what came out here."""
    if point.get("threshold") is None:
        return ""
    name, _, value = point["rule"].partition(":")
    on = point.get("chosen_on", "the validation rows")
    if name in _WORDS:
        here = point["metrics"][name]
        found = f"; here it {_WORDS[name][1]} {percent(here)}" if formatting.defined(here) else ""
        return f"Threshold chosen for a {name} of {100 * float(value):g} % on {on}{found}."
    goals = {
        "cost": f"so that a missed positive counts as much as {value} false alarms",
        "youden": "for the highest sum of sensitivity and specificity",
    }
    return f"Threshold chosen {goals.get(name, f'by {name}')} on {on}."


def _rates(metrics: Mapping[str, Any]) -> list[Rate]:
    """Sensitivity and specificity; without positive classes the rate of right answers, and of the class found least."""
    cards = summary_cards.cards(metrics)
    binary = {card.key: card for card in cards if card.key in _WORDS}
    if binary:
        return [Rate(_WORDS[key][0], card, _of_100(card, *_WORDS[key][1:])) for key, card in binary.items()]
    found = [
        Rate("Classified correctly", card, _of_100(card, "classified correctly", "classified incorrectly"))
        for card in cards
        if card.key == "accuracy"
    ]
    known = {
        name: each["sensitivity"]
        for name, each in (metrics.get("per_class") or {}).items()
        if formatting.defined(each.get("sensitivity"))
    }
    if known:
        least = min(known, key=lambda name: known[name]["value"])
        card = summary_cards.card("sensitivity", known[least], f"of {least}")
        found.append(Rate(f"The class found least often: {least}", card, _of_100(card, "found", "missed")))
    return found


def _of_100(card: Card, yes: str, no: str) -> str:
    if card.bar is None:
        return ""
    low, value, high = (round(each) for each in card.bar)
    return f"Of 100 such cases, about {value} are {yes} ({low} to {high}) and {100 - value} are {no}."


def alarms(metrics: Mapping[str, Any]) -> str:
    """What alarms mean where the disease is as rare as stated, or as in an example; empty without both rates.

    Source: natural frequencies (Gigerenzer and Hoffrage, Psychological Review 102, 1995).
    """
    cards = {card.key: card for card in summary_cards.cards(metrics) if card.key in _WORDS}
    if len(cards) < 2 or any(card.bar is None for card in cards.values()):
        return ""
    point = metrics.get("operating_point") or {}
    stated = point.get("prevalence")
    prevalence = EXAMPLE if stated is None else float(stated)
    people = 1000 if prevalence >= _RARE else 100_000
    ill = round(people * prevalence)
    bars = {key: card.bar for key, card in cards.items() if card.bar is not None}
    right = round(ill * bars["sensitivity"][1] / 100)
    most, wrong, fewest = (round((people - ill) * (1 - rate / 100)) for rate in bars["specificity"])
    counts = summary_cards.counts(metrics)
    share = counts["positive"] / max(counts["positive"] + counts["negative"], 1) if counts else 0.0
    text = (
        f"If {ill} of {people:,} such cases have it{' (an example)' if stated is None else ''}, the model would raise "
        f"{right + wrong:,} alarms, {right} of them right and {wrong:,} false, and miss {ill - right}."
    )
    if most > fewest:
        text += f" By the interval of the specificity, there could be {fewest:,} to {most:,} false alarms."
    if share > 2 * prevalence and wrong:
        text += f" In this test, {100 * share:.0f} % have it, so alarms look more reliable here than they would there."
    return text


def _silent(metrics: Mapping[str, Any], deferral: Sequence[Mapping[str, Any]], gate: bool) -> list[str]:
    """When a person should decide instead."""
    found = []
    by = {each["deferred"]: each["error"] for each in deferral if formatting.defined(each["error"])}
    if 0.0 in by and _SHOWN_DEFERRAL in by:
        whole, kept = by[0.0], by[_SHOWN_DEFERRAL]
        names = len(metrics["classes"])
        wrong = "It is wrong" if names == 2 else f"It names the wrong one of {names} classes"
        if names == 2 and (metrics.get("operating_point") or {}).get("threshold") is not None:
            wrong = f"{summary_cards.BY_MOST_PROBABLE.capitalize()} it is wrong"
        told = "; its uncertainty says little here" if kept["value"] > 0.95 * whole["value"] else ""
        found.append(
            f"When it is unsure. {wrong} in {percent(whole)} of cases; if the {100 * _SHOWN_DEFERRAL:.0f} % that it is "
            f"least sure of go to a person, in {percent(kept)} of the rest{told}."
        )
    else:
        found.append("When it is unsure. How much it helps to defer such cases was not measured here.")
    sets = metrics.get("prediction_sets")
    if sets:
        alone = sets["overall"]["share_of_one_class"]
        found.append(
            f"When more than one class is possible at an error of {100 * sets['error']:g} %: it commits to one "
            f"class in {percent(alone)} of cases."
        )
    alarmed = (metrics.get("quality") or {}).get("alarms")
    warns = " It warns about images that are too dark, blurred or unlike its training images." if gate else ""
    if alarmed and not summary_cards.many_alarms(alarmed):
        warns += f" It did so for {percent(alarmed)} of images here."
    found.append(f"When the image is of a different kind from those it was tested on. {limits.ANY_IMAGE}{warns}")
    return found


def deferral(metrics: Mapping[str, Any], predicted: Predictions | None) -> Sequence[Mapping[str, Any]]:
    """The deferral curve that an evaluation measured, else the one of these predictions; empty without labels."""
    from cervix_tf.metrics import conformal

    if metrics.get("deferral"):
        return metrics["deferral"]
    known = predicted is not None and bool((predicted.labels >= 0).any())
    return conformal.deferral(predicted) if predicted is not None and known else ()
