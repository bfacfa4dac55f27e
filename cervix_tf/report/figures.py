"""The figures of a page, each an SVG image in a `data:` URI with a text that says what it shows.

Colors are Okabe and Ito's, which people with any common color blindness can
tell apart; where two lines share a panel they differ in dash or marker too.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from cervix_tf.report import formatting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

P = ParamSpec("P")
R = TypeVar("R")

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, INK, GREY = "#56B4E9", "#E69F00", "#1c2733", "#7a8794"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, INK, GREY)
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "^", "s")  # where there are more classes than colors
_STYLE: Any = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "cervix_tf",
    "text.parse_math": False,  # a class may be called "$x$"
    "xtick.color": INK,
    "ytick.color": INK,
}


FEWEST_IN_BIN = 5
"""Rows that a dot of a reliability diagram rests on at least: the share of fewer says next to nothing."""
_COLLAPSED = "all embeddings are equal"
_FOUND = "Share found of each class (sensitivity, true positive rate), with 95 % intervals."


@dataclass(frozen=True)
class Picture:
    """A figure ready for `<img>`."""

    source: str
    """`data:` URI."""
    alt: str
    """What it shows, for those who cannot see it."""
    caption: str = ""
    wide: bool = False
    """Too much in it for one column of a page."""

    @property
    def photograph(self) -> bool:
        """Whether it shows images rather than a drawing."""
        return self.source.startswith("data:image/jpeg")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw with the colors, sizes and fonts that all figures share."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib as mpl  # half a second: not for --help

        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


@styled
def training(
    name: str,
    histories: Sequence[pd.DataFrame],
    criterion: str = "",
    held_out: str = "validation",
    *,
    measured: bool = True,
) -> Picture | None:
    """Loss and accuracy against epoch, a pair of lines a history, the kept epoch marked.

    The kept epoch is the first one where `criterion` (a column) is best: lowest for a
    loss, highest otherwise; it is drawn too unless it was not `measured`, but marks an
    epoch that was fixed before. `held_out` names what the val_ columns were measured on.
    None when there is nothing to draw.
    """
    columns = set.intersection(*(set(history.columns) for history in histories))
    measure = criterion.removeprefix("val_") if criterion in columns else ""
    drawn = ("loss", "accuracy", *([measure] if measured else []))
    pairs = [(one, f"val_{one}") for one in dict.fromkeys(drawn) if one]
    panels = [found for pair in pairs if (found := [column for column in pair if column in columns])]
    if not panels or "epoch" not in columns:
        return None
    figure = new_figure(4.2, 1.7 * len(panels) + 0.35)
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    alone = len(histories) == 1
    chosen = []
    for at, history in enumerate(histories):
        best = _best(history, criterion) if measure else None
        for axes, panel in zip(all_axes, panels, strict=True):
            for column in panel:
                held = column.startswith("val_")
                look: dict[str, Any] = {"color": ORANGE, "ls": "-"} if held else {"color": BLUE, "ls": "--"}
                look |= {"lw": 1.6, "alpha": 1.0} if alone else {"lw": 0.9, "alpha": 0.7}
                look |= {"marker": "."} if len(history) == 1 else {}
                label = (held_out if held else "training") if at == 0 else None
                axes.plot(history["epoch"], history[column], label=label, **look)
            if best is not None:
                dot = history["epoch"].iloc[best], history[panel[-1]].iloc[best]
                axes.plot(*dot, "o", color=ORANGE, mec="white", ms=6, zorder=3)
        if best is not None:
            chosen.append(f"{history['epoch'].iloc[best]:.0f}")
    for axes, panel in zip(all_axes, panels, strict=True):
        axes.set_title(formatting.title(panel[0].removeprefix("val_")))
        axes.margins(y=0.08)
    all_axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)  # beside the title
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    kept = f"dot = epoch kept ({', '.join(chosen)}), by {criterion}" if chosen else "no epoch is marked"
    folds = "" if alone else f", {len(histories)} folds"
    ends = ", ".join(f"{column} {histories[0][column].iloc[-1]:.3g}" for panel in panels for column in panel)
    return picture(figure, f"Training curves of {name}{folds}: at the end {ends}; {kept}.", f"{name}{folds}: {kept}.")


@styled
def confusion(counts: ArrayLike, classes: Sequence[str], name: str) -> Picture:
    """A confusion matrix, true classes down, predictions across: counts and percent of the true class."""
    matrix = np.asarray(counts, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    size = max(3.4, 0.6 * len(classes) + 1.2)
    figure = new_figure(size + 0.4, size)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect="equal")
    for (row, column), count in np.ndenumerate(matrix):
        dark = share[row, column] > 0.6
        text = f"{count:.0f}\n{100 * share[row, column]:.0f} %" if totals[row, 0] else "0"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else INK)
    names = [_safe(each) for each in classes]
    turned = max(map(len, names)) > 9 or len(names) > 6
    axes.set_xticks(range(len(names)), names, rotation=35 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("prediction")
    axes.set_ylabel("true class")
    said = "; ".join(f"{true}: {matrix[at, at]:.0f} of {totals[at, 0]:.0f} right" for at, true in enumerate(classes))
    drawn = picture(figure, f"Confusion matrix, {name}. {said}.", f"{name}: n = {matrix.sum():.0f}.")
    return replace(drawn, wide=len(classes) > 6)


@styled
def roc(curves: Sequence[tuple[str, Mapping[str, Sequence[float]] | None, str]], name: str) -> Picture:
    """ROC curves, each a label, points {"fpr", "tpr"} (None: not defined) and the AUC as text."""
    figure = new_figure(4.0, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
    for at, (label, points, area) in enumerate(curves):
        look: dict[str, Any] = {"color": CYCLE[at % len(CYCLE)], "ls": _DASHES[at % len(_DASHES)]}
        x, y = (points["fpr"], points["tpr"]) if points else ([], [])
        axes.plot(x, y, label=f"AUC {_safe(area, 30)}: {_safe(label)}", **look)
    axes.set(xlabel="false positive rate (1 - specificity)", ylabel="true positive rate (sensitivity)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", fontsize=8.5 if len(curves) < 6 else 6.5)
    said = "; ".join(f"{label}: AUC {area}" for label, _, area in curves)
    return picture(figure, f"ROC, {name}. {said}.", f"ROC, {name}.")


@styled
def reliability(bins: Sequence[Mapping[str, Any]], caption: str) -> Picture | None:
    """Share of right predictions against the probability given to the prediction, with intervals and n.

    `bins` are those of `cervix_tf.metrics.calibration.reliability`; those of fewer than `FEWEST_IN_BIN` rows have no
    dot. None without any bin.
    """
    if not bins:
        return None
    dots = [each for each in bins if each["n"] >= FEWEST_IN_BIN]
    figure = new_figure(4.0, 4.0)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
    said, right = ([each[key] for each in dots] for key in ("confidence", "accuracy"))
    for each in dots:
        if each["accuracy_low"] is not None:
            axes.plot([each["confidence"]] * 2, [each["accuracy_low"], each["accuracy_high"]], color=SKY)
    axes.plot(said, right, "o-", color=BLUE, ms=5, lw=1)
    axes.set(ylabel="share of correct predictions", ylim=(-0.03, 1.03), xlim=(0, 1))
    lows, widths = [each["low"] for each in bins], [each["high"] - each["low"] for each in bins]
    below.bar(lows, [each["n"] for each in bins], widths, align="edge", color=GREY, edgecolor="white")
    below.set(xlabel="probability given to the prediction", ylabel="n")
    pairs = "; ".join(f"{each:.2f} said, {share:.2f} right" for each, share in zip(said, right, strict=True))
    pairs = pairs or f"no bin has {FEWEST_IN_BIN} cases"
    return picture(figure, f"Reliability diagram: {pairs}.", caption)


@styled
def bars(measured: Mapping[str, Mapping[str, Any]]) -> Picture | None:
    """The sensitivity of each class with its interval, where it is defined; None where it never is."""
    if not any(formatting.defined(each) for each in measured.values()):
        return None
    figure = new_figure(4.2, 0.45 * len(measured) + 0.75)
    axes = figure.subplots()
    said = []
    for at, (label, each) in enumerate(measured.items()):
        if not formatting.defined(each):
            axes.text(1, at, "not defined", va="center", color=GREY)
            said.append(f"{label} not defined")
            continue
        value, low, high = each["value"], each.get("low"), each.get("high")
        axes.barh(at, 100 * value, height=0.62, color=SKY)
        end = value
        if low is not None and high is not None:
            axes.plot([100 * low, 100 * high], [at, at], color=INK, lw=1.2, marker="|", ms=7)
            end = max(value, high)
        axes.text(100 * end + 2, at, f"{100 * value:.0f} %, n = {each.get('n', '?')}", va="center", fontsize=9)
        said.append(f"{label} {100 * value:.0f} %")
    axes.set_yticks(range(len(measured)), [_safe(each) for each in measured])
    axes.set(xlim=(0, 145), xlabel="percent")
    axes.set_xticks(range(0, 101, 20))
    axes.invert_yaxis()
    return picture(figure, f"Sensitivity by class: {'; '.join(said)}.", _FOUND)


@styled
def rates(series: Mapping[str, Mapping[str, Mapping[str, Any]]], name: str) -> Picture:
    """Sensitivity of each class with its interval, one bar a series: `series` is label -> class -> measured."""
    classes = list(next(iter(series.values())))
    height = 0.8 / len(series)
    figure = new_figure(4.2, 0.28 * len(classes) * len(series) + 1.1)
    axes = figure.subplots()
    said = []
    for at, (label, measured) in enumerate(series.items()):
        values = [each["value"] if formatting.defined(each) else None for each in measured.values()]
        places = [row + (at - (len(series) - 1) / 2) * height for row in range(len(classes))]
        lengths = [100 * (value or 0.0) for value in values]
        axes.barh(places, lengths, 0.92 * height, color=(SKY, YELLOW, GREEN)[at % 3], label=_safe(label, 40))
        for place, value, each in zip(places, values, measured.values(), strict=True):
            low, high = each.get("low"), each.get("high")
            if value is None or low is None or high is None:
                continue
            axes.plot([100 * low, 100 * high], [place, place], color=INK, lw=1, marker="|", ms=4)
        parts = [
            f"{each} {'not defined' if value is None else f'{100 * value:.0f} %'}"
            for each, value in zip(classes, values, strict=True)
        ]
        said.append(f"{label}: {', '.join(parts)}")
    axes.set_yticks(range(len(classes)), [_safe(each) for each in classes])
    axes.set(xlim=(0, 101), xlabel="true positive rate, percent")
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1)
    return picture(figure, f"True positive rates, {name}. {'; '.join(said)}.", f"{name}. {_FOUND}")


@styled
def population(counts: Mapping[str, int], name: str) -> Picture:
    """How many there are of each class, and their share of all."""
    figure = new_figure(4.2, 0.4 * len(counts) + 0.7)
    axes = figure.subplots()
    total = max(sum(counts.values()), 1)
    axes.barh(range(len(counts)), list(counts.values()), height=0.62, color=SKY)
    said = [f"{label}: {count} ({100 * count / total:.1f} %)" for label, count in counts.items()]
    for at, (count, text) in enumerate(zip(counts.values(), said, strict=True)):
        axes.text(count, at, " " + text.split(": ")[-1], va="center", fontsize=9)
    axes.set_yticks(range(len(counts)), [_safe(each) for each in counts])
    axes.set(xlim=(0, 1.4 * max(*counts.values(), 1)), xlabel="images")
    axes.invert_yaxis()
    return picture(figure, f"{name}. {'; '.join(said)}.", f"{name}.")


def photograph(pixels: np.ndarray, alt: str, caption: str) -> Picture:
    """An RGB picture (height, width, 3) uint8 as JPEG."""
    import cv2

    _, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}", alt, caption)


@styled
def histogram(scores: np.ndarray, positive: np.ndarray, name: str) -> Picture:
    """How often each probability of the positive reading occurs, by the truth."""
    figure = new_figure(4.2, 3.0)
    axes = figure.subplots()
    edges = np.linspace(0, 1, 21)
    within = scores.clip(0, 1)  # a sum of probabilities may be above 1 by rounding, and would have no bar
    groups = [within[~positive], within[positive]]
    labels = [f"truly negative (n = {len(groups[0])})", f"truly positive (n = {len(groups[1])})"]
    below = np.zeros(len(edges) - 1)
    for group, label, color, hatch in zip(groups, labels, (BLUE, ORANGE), ("", "////"), strict=True):
        counts, _ = np.histogram(group, edges)
        axes.bar(
            edges[:-1], counts, 0.05, bottom=below, align="edge",
            color=color, hatch=hatch, edgecolor="white", label=label,
        )  # fmt: skip
        below += counts
    axes.set(xlabel=f"probability of {_safe(name, 30)}", ylabel="cases", xlim=(0, 1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=1)
    middle = " and ".join(
        f"{np.median(group):.2f} for {label}" for group, label in zip(groups, labels, strict=True) if len(group)
    )
    return picture(figure, f"Histogram of the probability of {name}: median {middle}.", f"Probability of {name}.")


@styled
def scatter(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], classes: Sequence[str], columns: int, caption: str
) -> Picture:
    """A panel a name: points (n, 2) colored by class (n,), those of the third array (n,) bold, the others faint."""
    lines = -(-len(panels) // columns)
    figure = new_figure(2.4 * columns, 2.3 * lines + 0.3)
    all_axes = figure.subplots(lines, columns, squeeze=False)
    for axes in all_axes.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, (points, labels, bold)) in zip(all_axes.flat, panels.items(), strict=False):
        for at in range(len(classes)):
            color = CYCLE[at % len(CYCLE)]
            for of, look in ((~bold, {"s": 5, "alpha": 0.35}), (bold, {"s": 12, "edgecolors": INK, "linewidths": 0.3})):
                there = points[(labels == at) & of]
                axes.scatter(there[:, 0], there[:, 1], color=color, rasterized=True, **look)
        if _at_one_place(points):
            axes.text(0.5, 0.8, _COLLAPSED, transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_title(_safe(name, 40), fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    for at, name in enumerate(classes):
        all_axes.flat[0].scatter([], [], color=CYCLE[at % len(CYCLE)], s=12, label=_safe(name, 30))
    figure.legend(loc="outside lower center", ncols=min(len(classes), columns + 1))
    collapsed = [name for name, (points, _, _) in panels.items() if _at_one_place(points)]
    alt = f"Scatter plots of {', '.join(panels)}; colors are the classes {', '.join(classes)}."
    return picture(figure, " ".join([alt, *(f"{name}: {_COLLAPSED}." for name in collapsed)]), caption)


@styled
def scatter_in_space(
    points: np.ndarray, labels: np.ndarray, classes: Sequence[str], faint: np.ndarray, caption: str
) -> Picture:
    """Points (n, 3) colored and marked by class (n,); those of `faint` (n,) pale."""
    figure = new_figure(5.6, 5.2)
    axes = figure.add_subplot(projection="3d")
    for at, name in enumerate(classes):
        look: dict[str, Any] = {"color": CYCLE[at % len(CYCLE)], "marker": _MARKERS[at // len(CYCLE) % len(_MARKERS)]}
        for of, alpha, label in ((faint, 0.25, None), (~faint, 0.9, _safe(name, 30))):
            there = points[(labels == at) & of]
            axes.scatter(*there.T, s=9, alpha=alpha, label=label, linewidths=0, rasterized=True, **look)
    if _at_one_place(points):
        axes.text2D(0.5, 0.8, _COLLAPSED, transform=axes.transAxes, ha="center")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_ticklabels([])
    figure.legend(loc="outside lower center", ncols=3)
    alt = f"Points in space; colors and marks are the classes {', '.join(classes)}."
    return picture(figure, f"{alt} {_COLLAPSED}." if _at_one_place(points) else alt, caption)


def _at_one_place(points: np.ndarray) -> bool:
    return len(points) > 0 and not np.ptp(points, axis=0).any()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")  # of its own: no window system, no shared state


def picture(figure: Figure, alt: str, caption: str) -> Picture:
    """The drawn figure as SVG."""
    text = io.BytesIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(text.getvalue()).decode()}", alt, caption)


def _best(history: pd.DataFrame, criterion: str) -> int | None:
    """Place of the first best epoch; None where the criterion was never a number."""
    values = history[criterion].to_numpy(float)
    if np.isnan(values).all():
        return None
    return int(np.nanargmin(values) if criterion.endswith("loss") else np.nanargmax(values))


def _safe(label: str, most: int = 20) -> str:
    """A label short enough for a figure."""
    return label if len(label) <= most else label[: most - 1] + "…"
