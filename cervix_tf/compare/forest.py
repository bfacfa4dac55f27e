"""The forest plot of a comparison: models above, their paired differences below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cervix_tf import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _INK = "#0072B2", "#D55E00", "#1c2733"
_ROW = 0.34  # inches


def draw(comparison: Mapping[str, Any], paths: list[Path]) -> None:
    """Write the plot of a comparison.json to each of `paths` (.png, .svg), whole or not at all.

    A difference is orange when its corrected p value is under 0.05.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    models, pairs = comparison["models"], comparison["pairs"]
    with plt.rc_context({"font.size": 9, "svg.hashsalt": "cervix_tf"}):
        figure, (above, below) = plt.subplots(
            2,
            1,
            figsize=(10, _ROW * (len(models) + len(pairs)) + 2.2),
            height_ratios=[len(models) + 0.6, len(pairs) + 0.6],
            layout="constrained",
        )
        metric = {"accuracy": "Accuracy", "auc": "AUC", "macro_f1": "Macro F1"}[comparison["metric"]]
        subject = f"{comparison['n']} rows in {comparison['groups']} groups, 95 % intervals"
        marked = "".join(f" - {word} DATA" for word in comparison.get("labels", ()))
        _panel(
            above,
            f"{metric}: {subject}{marked}",
            [(name, found, _BLUE, "") for name, found in models.items()],
        )
        entries = []
        for pair in pairs:
            color = _ORANGE if pair["p_corrected"] < 0.05 else _BLUE
            name = f"{pair['first']} - {pair['second']}"
            entries.append((name, pair["difference"], color, _p(pair["p_corrected"])))
        correction = {"holm": "Holm", "bh": "Benjamini-Hochberg"}[comparison["correction"]]
        _panel(below, f"Difference, first minus second (p after {correction} over {len(pairs)})", entries)
        below.axvline(0, color=_INK, linewidth=1, linestyle="--", zorder=1)
        for path in paths:
            with atomic.replacing(path) as part:
                figure.savefig(part, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def _panel(axes: Axes, title: str, entries: list[tuple[str, Mapping[str, Any], str, str]]) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    for at, (_, found, color, remark) in enumerate(entries):
        if found["value"] is None:
            axes.text(1.02, at, "not defined", transform=axes.get_yaxis_transform(), va="center", color=_INK)
            continue
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [at, at], color=color, linewidth=2, solid_capstyle="butt")
            ends = f" [{_short(found['low'])}, {_short(found['high'])}]"
        else:
            ends = " [no interval]"
        axes.plot(found["value"], at, "s", color=color, markersize=6)
        text = f"{_short(found['value'])}{ends}{remark}"
        axes.text(1.02, at, text, transform=axes.get_yaxis_transform(), va="center", color=_INK)
    axes.set_yticks(range(len(entries)), [name for name, *_ in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _short(value: float) -> str:
    return f"{value:z.3f}".replace("-", "−")


def _p(value: float) -> str:
    return "   p < 0.001" if value < 0.001 else f"   p = {value:.3f}"
