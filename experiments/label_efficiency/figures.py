"""Score against the share of labels, a curve an initialization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cervix_tf.report import paper_figures
from cervix_tf.report.figures import CYCLE, Picture, new_figure, picture, styled
from cervix_tf.report.tables import Table
from cervix_tf.run_dir import RunDir
from experiments.label_efficiency.config import NUMBERS, PROBES, SCORES, Config

_MARKERS = ("o", "s", "^", "D")


def draw(config: Config, tables: Sequence[Table], out: RunDir) -> None:
    """Write a figure for each data set and probe, of the score that their differences are in."""
    by_number = {each["number"]: each for each in tables}
    drawn: dict[str, Picture | None] = {}
    for name in config.data_sets:
        for at, probe in enumerate(PROBES):
            letter = "abcd"[at * len(SCORES[name])]
            if found := by_number.get(f"Table {NUMBERS[name]}{letter}"):
                drawn[f"Curves {NUMBERS[name]} {probe}"] = curves(found, config.shares)
    paper_figures.write(out, drawn)


@styled
def curves(table: Table, shares: Sequence[int]) -> Picture | None:
    """A table's lines as curves over the shares, a logarithmic axis, with 95 % intervals; None without any number."""
    figure = new_figure(4.2, 3.6)
    axes = figure.subplots()
    said = []
    for at, row in enumerate(table["rows"]):
        if not row["ours"]:
            continue
        beside = 1.035 ** (at - (len(table["rows"]) - 1) / 2)  # so that no interval hides another
        places, found = [share * beside for share in shares], [each for each in row["ours"] if each]
        values = [each["value"] for each in found]
        look: dict[str, Any] = {"color": CYCLE[at], "marker": _MARKERS[at], "ms": 4.5, "lw": 1.4}
        axes.plot(places, np.array(values, float), label=row["name"], **look)
        for place, each in zip(places, found, strict=True):
            ends = np.array([each["low"], each["high"]], float)  # no number, no line, where there is no interval
            axes.plot([place, place], ends, color=CYCLE[at], lw=1)
        numbers = ", ".join(f"{value:.1f} with {share} %" for value, share in zip(values, shares, strict=True))
        said.append(f"{row['name']}: {numbers}")
    if not said:
        return None
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share} %" for share in shares])
    axes.minorticks_off()
    score = table["title"].partition(": ")[2].partition(" by ")[0]
    axes.set(xlabel="share of the labels in use", ylabel=f"{score}, percent")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    caption = f"{table['title']}, with 95 % intervals."
    return picture(figure, f"{caption} {'; '.join(said)}.", caption)
