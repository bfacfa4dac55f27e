"""The main numbers of a metrics.json as lines of text: metric, value, 95 % interval, n, and what to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cervix_tf.metrics import operating_points, uncertainty
from cervix_tf.wording import amount

_MAIN = ("balanced_accuracy", "macro_f1", "macro_auc")
_CALIBRATION = ("expected_calibration_error", "calibration_slope", "calibration_intercept")
_OF_THESE_ROWS = ("precision", "negative_predictive_value")
"""Depend on how many of these rows are positive: needless beside those at a stated prevalence."""


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The main results of an evaluation and those that were asked for; the report and metrics.json have all."""
    labels = [word for word, holds in (("SYNTHETIC", summary["synthetic"]), ("STAND-IN", summary["stand_in"])) if holds]
    marked = f" [{', '.join(labels)} DATA]" if labels else ""
    counted = f"{amount(summary['n'], 'row')}, {amount(summary['groups'], 'group')}"
    first = f"{counted}: {summary['data']}{marked}"
    parts = (_overall, _calibration, _silence, _uncertainty, _repeatability, _quality, _classes, _strata)
    return [first, *(line for part in parts for line in part(summary))]


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of one manifest's results those that a reader compares, each with n, interval and method.

    Sensitivity and specificity are those of the operating point, where there is one; `decided` says so, and on which
    rows it was chosen.
    """
    found = {name: summary["metrics"][name] for name in ("accuracy", "balanced_accuracy")}
    point = summary.get("operating_point")
    if summary["binary"]:
        decided = (point or summary["binary"])["metrics"]
        found |= {name: decided[name] for name in ("sensitivity", "specificity")}
        found["auc"] = summary["binary"]["metrics"]["auc"]
    by = f"operating point, {operating_points.words(point)}" if point else "the most probable class"
    warnings = [each for part in ("seen", "thresholds") for each in (summary.get(part) or {}).get("warnings", ())]
    return {
        **{name: summary[name] for name in ("data", "n", "groups")},
        "decided": by,
        "warnings": warnings,
        "remarks": [each for part in ("rows", "thresholds") for each in (summary.get(part) or {}).get("remarks", ())],
        "metrics": found,
    }


def side_by_side(row: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The headlines of several manifests, name -> results: a metric, then a line for each manifest."""
    heads = {name: headline(summary) for name, summary in row.items()}
    found = {name: head["metrics"] for name, head in heads.items()}
    metrics = next(iter(found.values()))
    told = [f"sensitivity and specificity on {name} by {head['decided']}" for name, head in heads.items()]
    return [
        *(told if "sensitivity" in metrics else []),
        *(line for each in metrics for line in (f"{each}:", *(_line(name, of[each]) for name, of in found.items()))),
    ]


def _overall(summary: Mapping[str, Any]) -> Iterator[str]:
    accuracy = summary["metrics"]["accuracy"]
    yield _line("accuracy", accuracy, accuracy["method"])
    yield from _each(_some(summary["metrics"], _MAIN))
    if summary["binary"]:
        yield f"positive = {' or '.join(summary['binary']['positive'])}, against the rest:"
        decided = () if summary.get("operating_point") else ("sensitivity", "specificity")
        yield from _each(_some(summary["binary"]["metrics"], ("auc", *decided)))
    if above := summary.get("at_margin"):
        yield f"positive where the margin is above {above['threshold']:g}:"
        yield from _each(above["metrics"])
    if point := summary.get("operating_point"):
        yield f"operating point, {operating_points.words(point)}:"
        needless = ("accuracy", *(_OF_THESE_ROWS if point["prevalence"] is not None else ()))
        yield from _each({name: found for name, found in point["metrics"].items() if name not in needless})


def _calibration(summary: Mapping[str, Any]) -> Iterator[str]:
    measures = summary["calibration_measures"]
    for when in ("before", "after"):
        if found := measures[when]:
            which = f"{when} {measures['method']} scaling, " if measures["after"] else ""
            yield f"calibration, {which}probability of {found['of']} (calibration error: all classes):"
            yield from _each(_some(found["metrics"], _CALIBRATION))


def _silence(summary: Mapping[str, Any]) -> Iterator[str]:
    if held := summary.get("prediction_sets"):
        yield f"prediction sets that may miss {100 * held['error']:g} % of each class:"
        yield from _each(held["overall"])
        yield from _each({f"coverage of {name}": found["coverage"] for name, found in held["per_class"].items()})
        yield "error among the cases kept when the least sure are deferred:"
        yield from _each({f"{100 * each['deferred']:g} % deferred": each["error"] for each in summary["deferral"]})


def _uncertainty(summary: Mapping[str, Any]) -> Iterator[str]:
    for method in summary.get("uncertainty", {}).get("methods", ()):
        yield f"{uncertainty.words(method['name'], method['members'])}: area under its risk-coverage curve (AURC) by"
        for name, found in method["measures"].items():
            yield _line(name.replace("_", " "), found["aurc"])
            if found["difference"]:
                yield _line("  minus that of the model alone", found["difference"]) + _paid(found)
        yield _line("error of all", method["error"])
        if method["error_difference"]:
            yield _line("  minus that of the model alone", method["error_difference"])


def _repeatability(summary: Mapping[str, Any]) -> Iterator[str]:
    if same := summary.get("repeatability"):
        yield f"several images of {amount(same['cases'], 'case')}, decided as {same['of']}:"
        yield from _each(same["metrics"])


def _quality(summary: Mapping[str, Any]) -> Iterator[str]:
    if gate := summary.get("quality"):
        reasons = ", ".join(f"{words}: {count}" for words, count in gate["by"].items())
        yield f"images that the quality gate warned about{f' ({reasons})' if reasons else ''}:"
        yield _line("share with alarm", gate["alarms"])
        yield from (_line(f"accuracy, {name}", gate["accuracy"][name]) for name in ("without alarm", "with alarm"))


def _classes(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["binary"] and len(summary["per_class"]) == 2:
        return  # are its sensitivity and specificity
    yield "sensitivity by class, by the most probable one:"
    yield from _each({name: found["sensitivity"] for name, found in summary["per_class"].items()})


def _strata(summary: Mapping[str, Any]) -> Iterator[str]:
    rule = (summary.get("operating_point") or {}).get("rule", operating_points.MOST_PROBABLE)
    decided = f", positive by {rule}" if summary["binary"] else ""
    for by, of_stratum in summary["strata"].items():
        yield f"accuracy by {by}:"
        yield from _each({name: found["metrics"]["accuracy"] for name, found in of_stratum.items()})
        for pair in summary["strata_differences"][by]:
            yield f"{by} {pair['stratum']} minus {pair['against']}{decided}:"
            for name, found in pair["metrics"].items():
                yield _line(name, found) + _paid(found)


def _some(metrics: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: metrics[name] for name in names if name in metrics}


def _each(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    return (_line(name, found) for name, found in metrics.items())


def _line(name: str, found: Mapping[str, Any], method: str = "") -> str:
    value = "-" if found["value"] is None else f"{found['value']:.3f}"
    ends = "" if found["low"] is None else f"[{found['low']:.3f}, {found['high']:.3f}]"
    return f"  {name:<30} {value:>6} {ends:<16} n={found['n']:<6} {method or _remark(found)}".rstrip()


def _remark(found: Mapping[str, Any]) -> str:
    """Why there is no value or interval, or what is wrong with it; the method itself stands in the report."""
    method = str(found["method"])
    return method if found["value"] is None or found["low"] is None else method.partition("; ")[2]


def _paid(found: Mapping[str, Any]) -> str:
    return "" if found["p_holm"] is None else f"; p = {found['p_holm']:.2g} (Holm)"
