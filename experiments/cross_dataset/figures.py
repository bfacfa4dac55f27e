"""The matrix as a picture, and the drop in balanced accuracy against the distance of the domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cervix_tf.report import paper_figures
from cervix_tf.report.figures import BLUE, GREY, INK, ORANGE, Picture, new_figure, picture, styled
from cervix_tf.report.tables import Table
from cervix_tf.run_dir import RunDir
from experiments.cross_dataset.config import BLOCKS


def draw(tables: Sequence[Table], out: RunDir) -> None:
    """Write each block's matrix of balanced accuracy, and its drops against the distances, into the run."""
    by_number = {each["number"]: each for each in tables}
    drawn: dict[str, Picture | None] = {}
    for number in BLOCKS:
        if f"Table {number}c" in by_number:
            drawn[f"Matrix {number}"] = matrix(by_number[f"Table {number}b"])
            drawn[f"Distance {number}"] = distances(by_number[f"Table {number}c"])
    paper_figures.write(out, drawn)


@styled
def matrix(table: Table) -> Picture:
    """A table of percent with a shade for each number."""
    rows = [row for row in table["rows"] if row["ours"]]
    values = np.array([[np.nan if not each else each["value"] for each in row["ours"] or ()] for row in rows], float)
    figure = new_figure(1.1 * values.shape[1] + 2.4, 0.5 * len(rows) + 1.1)
    axes = figure.subplots()
    axes.imshow(values, cmap="Blues", vmin=40, vmax=110, aspect="auto")
    for (at, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.1f}"
        axes.text(column, at, text, ha="center", va="center", color="white" if value > 85 else INK)
    axes.set_xticks(range(values.shape[1]), table["columns"])
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="tested on", ylabel="trained on")
    said = []
    for row, found in zip(rows, values, strict=True):
        numbers = ", ".join(f"{value:.1f} on {name}" for name, value in zip(table["columns"], found, strict=True))
        said.append(f"{row['name']}: {numbers}")
    return picture(figure, f"{table['title']}, percent. {'; '.join(said)}.", f"{table['title']}, percent.")


@styled
def distances(table: Table) -> Picture | None:
    """Drop with its interval against distance, another color where images are normalized; None without a drop."""
    figure = new_figure(5.2, 3.6)
    axes = figure.subplots()
    axes.axhline(0, color=GREY, lw=0.8, ls=":")
    said = []
    for first, color, marker, label in ((0, BLUE, "o", "as it is"), (2, ORANGE, "^", "normalized")):
        dots = []
        for row in table["rows"]:
            distance, drop = (row["ours"] or [])[first : first + 2]
            if not distance or not drop or distance["value"] is None or drop["value"] is None:
                continue
            at, value, low, high = distance["value"], drop["value"], drop["low"], drop["high"]
            if low is not None and high is not None:
                axes.plot([at, at], [low, high], color=color, lw=1)
            if not first:
                axes.annotate(row["name"], (at, value), (4, 4), textcoords="offset points", fontsize=7)
            dots.append((at, value))
            said.append(f"{row['name']}, {label}: distance {at:.1f}, drop {value:.1f}")
        if dots:
            axes.plot(*zip(*dots, strict=True), marker, color=color, ms=5, label=label)
    if not said:
        return None
    axes.set(xlabel="Fréchet distance of training and test images", ylabel="drop, points of balanced accuracy")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    caption = f"{table['title']}, with 95 % intervals."
    return picture(figure, f"{caption} {'; '.join(said)}.", caption)
