"""What acting on a model is worth, and what deferring its unsure cases leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cervix_tf.report import formatting
from cervix_tf.report.figures import BLUE, CYCLE, INK, ORANGE, SKY, Picture, new_figure, picture, styled


@styled
def decision_curve(points: Sequence[Mapping[str, Any]], caption: str) -> Picture | None:
    """Net benefit against threshold, beside treating all and none; `points` are those of `net_benefit.curve`."""
    known = [each for each in points if formatting.defined(each["model"])]
    if not known:
        return None
    figure = new_figure(4.2, 3.2)
    axes = figure.subplots()
    x = [each["threshold"] for each in known]
    model, everyone = ([each[name]["value"] for each in known] for name in ("model", "treat_all"))
    with_ends = [(each["threshold"], each["model"]) for each in known if each["model"]["low"] is not None]
    if with_ends:
        low, high = ([each[end] for _, each in with_ends] for end in ("low", "high"))
        axes.fill_between([at for at, _ in with_ends], low, high, color=SKY, alpha=0.3, lw=0)
    axes.plot(x, model, color=BLUE, label="model, 95 % interval")
    axes.plot(x, everyone, color=ORANGE, ls="--", label="treat all")
    axes.axhline(0, color=INK, ls=":", lw=1, label="treat none")
    top = max(*model, *everyone, 0.01)
    axes.set(xlabel="threshold probability for treating", ylabel="net benefit", ylim=(-0.3 * top, 1.15 * top))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    said = "; ".join(f"from {each['threshold']:g}: {each['model']['value']:.3f}" for each in known)
    return picture(figure, f"Decision curve. Net benefit {said}.", caption)


@styled
def deferral(points: Sequence[Mapping[str, Any]]) -> Picture | None:
    """Error of what is kept against the share deferred; `points` are those of `conformal.deferral`."""
    if not points:
        return None
    figure = new_figure(4.2, 2.8)
    axes = figure.subplots()
    deferred, errors = ([100 * of(each) for each in points] for of in (lambda e: e["deferred"], _error_of))
    axes.plot(deferred, errors, "o-", color=BLUE, ms=5)
    for at, each in zip(deferred, points, strict=True):
        if each["error"]["low"] is not None:
            axes.plot([at, at], [100 * each["error"]["low"], 100 * each["error"]["high"]], color=SKY, zorder=0)
    axes.set(xlabel="percent deferred, least sure first", ylabel="percent wrong among the rest")
    axes.set_ylim(bottom=0)
    said = "; ".join(f"{at:g} % deferred, {error:.1f} % wrong" for at, error in zip(deferred, errors, strict=True))
    return picture(figure, f"Deferral: {said}.", "Errors among the cases kept when the least sure ones are deferred.")


@styled
def uncertainty(methods: Sequence[Mapping[str, Any]]) -> Picture | None:
    """Error of what is kept against the share deferred, a color a method; `methods` are `uncertainty.summary`'s."""
    if not methods:
        return None
    figure = new_figure(4.2, 3.4)
    axes = figure.subplots()
    said = []
    for method, color in zip(methods, CYCLE, strict=False):
        for name, line in (("max_probability", "-"), ("mutual_information", "--")):
            if name in method["measures"]:
                deferred, error = zip(*method["measures"][name]["curve"], strict=True)
                label = f"{method['name']}, {name.replace('_', ' ')}"
                axes.plot([100 * at for at in deferred], [100 * at for at in error], line, color=color, label=label)
                at = min(range(len(deferred)), key=lambda point: abs(deferred[point] - 0.1))
                said.append(f"{label}: {100 * error[0]:.1f} % wrong, {100 * error[at]:.1f} % with 10 % deferred")
    axes.set(xlabel="percent deferred, least sure first", ylabel="percent wrong among the rest")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=7)
    caption = (
        "Errors among the cases kept, by uncertainty measure: the lower its curve, the better a measure spots errors."
    )
    return picture(figure, f"Risk and coverage. {'; '.join(said)}.", caption)


def _error_of(point: Mapping[str, Any]) -> float:
    return point["error"]["value"]
