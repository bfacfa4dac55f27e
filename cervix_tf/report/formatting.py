"""How numbers are written for people: metrics with intervals, sizes, times, names.

Metrics are shown as a percentage where they are shares of something counted, and as
plain numbers (AUC, kappa, Brier, ...) otherwise. Nothing that is not defined is
shown as a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_SHARES = re.compile(
    r"accuracy|precision|recall|f1|sensitivity|specificity|tpr|fpr|predictive_value|agreement|"
    r"[pn]pv_at|coverage|share_of"
)
_NOT_SHARES = re.compile(r"average_precision|auc|change|difference|kappa")
_SHORT = {
    "auc": "AUC",
    "brier": "Brier score",
    "cin1": "CIN1",
    "cohens": "Cohen's",
    "ece": "ECE",
    "f1": "F1",
    "fpr": "FPR",
    "id": "id",
    "mcc": "MCC",
    "ms": "(ms)",
    "npv": "NPV",
    "ovr": "(one-vs-rest)",
    "ppv": "PPV",
    "roc": "ROC",
    "tnr": "TNR",
    "tpr": "TPR",
}
_AT_SPECIFICITY = re.compile(r"_at_(\d+)_specificity$")
UNDEFINED = "not defined"


def title(name: str) -> str:
    """A key such as `macro_f1` as a person would write it: `Macro F1`."""
    # The threshold was chosen elsewhere: "specificity at 90 specificity" would contradict itself.
    at = _AT_SPECIFICITY.search(name)
    words = [_SHORT.get(word, word) for word in _AT_SPECIFICITY.sub("", name).replace("-", "_").split("_") if word]
    text = " ".join(words) or name
    text = text[:1].upper() + text[1:]
    return f"{text} at the threshold for {at[1]} % specificity on validation" if at else text


def is_share(name: str) -> bool:
    """Whether the metric of this name is a proportion, written as a percentage."""
    return bool(_SHARES.search(name)) and not _NOT_SHARES.search(name)


def defined(measured: Mapping[str, Any] | None) -> bool:
    """Whether a measured value has a finite number in it."""
    value = (measured or {}).get("value")
    return isinstance(value, int | float) and math.isfinite(value)


def reason(measured: Mapping[str, Any] | None) -> str:
    """`not defined (why)`, with what the measurement says about why."""
    why = str((measured or {}).get("method") or "no reason recorded").removeprefix("undefined: ")
    return f"{UNDEFINED} ({why})"


def number(value: float | None, share: bool) -> str:
    """A share as a percentage with one decimal (no sign), else a number with three; en dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:z.1f}" if share else f"{value:z.3f}"  # z: what rounds to zero has no sign


def value(name: str, measured: Mapping[str, Any] | None) -> str:
    """The metric's value with its unit: `83.3 %`, `0.912` or `not defined (why)`."""
    if not measured or not defined(measured):
        return reason(measured)
    return number(measured["value"], is_share(name)) + (" %" if is_share(name) else "")


def interval(name: str, measured: Mapping[str, Any] | None) -> str:
    """The metric's interval in square brackets, `[70.4, 91.3]`; empty where there is none."""
    if not measured or not defined(measured):
        return ""
    low, high = measured.get("low"), measured.get("high")
    if low is None and high is None:
        return ""
    share = is_share(name)
    return f"[{number(low, share)}, {number(high, share)}]"


def headline(metrics: Mapping[str, Any]) -> str:
    """The accuracy in a metrics.json and of what: `accuracy 90.0 % [80.0, 96.0], n = 50 (SYNTHETIC, visits)`."""
    accuracy = metrics["metrics"]["accuracy"]
    label = "SYNTHETIC, " if metrics["synthetic"] else "STAND-IN, " if metrics["stand_in"] else ""
    right = f"{value('accuracy', accuracy)} {interval('accuracy', accuracy)}".rstrip()
    return f"accuracy {right}, n = {metrics['n']} ({label}{metrics['data']})"


def difference(name: str, measured: Mapping[str, Any]) -> str:
    """How far one metric lies above another, with its interval: `+3.2 points [-1.0, +7.4]`, or as a plain number."""
    if not defined(measured):
        return reason(measured)
    scale, digits, unit = (100, 1, " points") if is_share(name) else (1, 3, "")

    def signed(number: float) -> str:
        return f"{scale * number:+.{digits}f}"

    ends = "" if measured.get("low") is None else f" [{signed(measured['low'])}, {signed(measured['high'])}]"
    return f"{signed(measured['value'])}{unit}{ends}"


def p_value(p: float | None) -> str:
    """A p value to two digits; empty for none."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}"


def size(count: float) -> str:
    """A number of bytes in the unit that suits it: `9.42 MB` (powers of ten)."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def plain(item: Any) -> str:
    """Any JSON value as short text: numbers to four digits, lists joined by commas, None as an en dash."""
    if item is None:
        return "–"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.4g}"
    if isinstance(item, list | tuple):
        return ", ".join(plain(each) for each in item)
    return str(item)


def flat(nested: Any, prefix: str = "") -> dict[str, str]:
    """Dotted name -> text of every leaf of nested JSON: `train.epochs` -> `10`."""
    if isinstance(nested, Mapping):
        found: dict[str, str] = {}
        for key, item in nested.items():
            found.update(flat(item, f"{prefix}.{key}" if prefix else str(key)))
        return found
    if isinstance(nested, list) and any(isinstance(item, Mapping) for item in nested):
        return flat({str(at): item for at, item in enumerate(nested)}, prefix)
    return {prefix or "value": plain(nested)}
