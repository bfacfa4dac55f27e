"""The paper's figures from our numbers, each of what is finished; how much of the heat maps lies on the evidence."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from cervix_tf import progress, runs
from cervix_tf.data import png
from cervix_tf.data.images import decode_file
from cervix_tf.data.synthetic import visits
from cervix_tf.explain import evidence, model_maps
from cervix_tf.explain.mosaic import case_mosaic
from cervix_tf.explain.overlay import told
from cervix_tf.metrics import intervals, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import cases, figures, paper_figures, summary_cards
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir, write_json
from experiments.mobilenetv2_ensemble.config import BASELINES, CASES, CLASSES, KINDS, VIEWS, Config, finished
from experiments.mobilenetv2_ensemble.data import inputs_of
from experiments.mobilenetv2_ensemble.tables import Results

MEASURED_CASES = 20
CE, WCE = "cross entropy", "weighted cross entropy"


def draw(config: Config, out: RunDir) -> None:
    """Write Fig. 3 to 10 and the confusion matrices of every finished row into the run."""
    results = finished(out)
    manifest = pd.read_csv(out.manifest, dtype=str, keep_default_na=False)
    train = manifest[manifest["split"] == "train"]["label"]
    counts = {name: int((train == name).sum()) for name in CLASSES}
    fused = next((row for row in ("ensemble-fine-tuned", "ensemble") if row in results), "")
    drawn: dict[str, Picture | None] = {
        "Fig. 3": figures.population(counts, "Training images of each class"),
        "Fig. 4": _rates(results, {CE: "acetic"}, "acetic acid images"),
        "Fig. 5": _rates(results, {CE: "acetic", WCE: "acetic-exp100"}, "acetic acid images"),
        "Fig. 6": _roc(results, fused, CLASSES),
        "Fig. 7": _roc(results, fused, ["CIN2/3 or cancer"]),
    }
    for name in BASELINES:
        both = {CE: f"{name}-balanced", WCE: f"{name}-weighted"}
        drawn[f"Fig. 8 {name}"] = _rates(results, both, name)
    for kind in (*KINDS, "ensemble"):
        other = "ensemble-weighted" if kind == "ensemble" else f"{kind}-exp100"
        drawn[f"Fig. 9 {kind}"] = _rates(results, {CE: kind, WCE: other}, kind)
    if out.model.exists() and out.predictions.exists():
        drawn["Fig. 10"] = gradcam_examples(config, out)
    for row, metrics in results.items():
        if "confusion" in metrics:
            drawn[f"Confusion matrix of {row}"] = figures.confusion(metrics["confusion"], CLASSES, row)
    paper_figures.write(out, drawn)


def _rates(results: Results, series: Mapping[str, str], name: str) -> Picture | None:
    """Per-class bars of the series; None until the rows of all of them are finished."""
    if not all(row in results for row in series.values()):
        return None
    rates = {
        label: {each: results[row]["per_class"][each]["sensitivity"] for each in CLASSES}
        for label, row in series.items()
    }
    return figures.rates(rates, name)


def _roc(results: Results, row: str, sides: Sequence[str]) -> Picture | None:
    """Margin ROC curves of the ensemble: of each class, or of the binary reading."""
    if not row:
        return None
    margin = results[row]["margin"]
    of = {**margin["per_class"], "CIN2/3 or cancer": margin["binary"]}
    curves = [(side, of[side]["curve"], summary_cards.text("auc", of[side]["auc"])) for side in sides]
    return figures.roc(curves, f"{row}, margin to the strongest candidate against a threshold in [-1, 1]")


def gradcam_examples(config: Config, out: RunDir) -> Picture:
    """Fig. 10: four of the cases that the report shows, with their Grad-CAM++ maps; writes those of all of them.

    A heat map is of the last convolution of each trunk, seven a case. On synthetic visits
    also writes how much of the heat lies within the evidence. Source: sec. 4.5 and Fig. 10.
    """
    tested, network, manifest = predictions.read(out.predictions), runs.model(out), runs.manifest(out)
    every = inputs_of(manifest, CASES)
    files = dict(zip(every.rows["id"], every.files, strict=True))
    chosen = [[tested.table["id"][row] for row in rows] for rows in cases.chosen(tested).values()]
    drawn = {}
    shown = [each for group in chosen for each in group]
    for case, pixels, maps in _heat_maps(network, shown, files):
        drawn[case] = (pixels, maps)
        png.write(out.heat_map(case), model_maps.strip(pixels, maps, VIEWS))
    cells = maps[0].shape
    write_json(out.heat_maps, {"method": "Grad-CAM++", "cells": cells})
    if config.synthetic_visits:
        write_json(out.evidence, _evidence(network, manifest.root, files, tested))
    right, wrong, uncertain = chosen
    four = [*right[:2], *wrong[:1], *uncertain[:1], *right[2:], *wrong[1:]][:4]
    decided = {case: tested.classes[at] for case, at in zip(tested.table["id"], tested.decisions, strict=True)}
    truth = dict(zip(tested.table["id"], tested.table["label"], strict=True))
    titles = [f"truth {truth[case]}, prediction {decided[case]}" for case in four]
    text = f"{len(four)} cases, the most confident right and wrong ones and the least certain: {', '.join(four)}"
    mosaic = case_mosaic([drawn[case] for case in four], titles=titles)
    return figures.photograph(
        mosaic, f"Images and Grad-CAM++ heat maps of {text}.", f"Grad-CAM++ of {text}: {told(cells)}."
    )


def _heat_maps(
    network: keras.Model, chosen: Sequence[str], files: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[np.ndarray], list[np.ndarray]]]:
    """Each of the chosen cases, the pixels of its images, and their heat maps."""
    read, kept = itertools.tee([decode_file(file) for file in files[case]] for case in chosen)
    found = zip(chosen, kept, model_maps.of_inputs(network, read, VIEWS), strict=True)
    return progress.counted(found, "drawing heat maps", len(chosen), "cases")


def _evidence(
    network: keras.Model, root: Path, files: Mapping[str, Sequence[str]], tested: Predictions
) -> dict[str, Any]:
    """Mean share of the heat within the boxes around the evidence over correctly classified cases, and of an even map.

    Of a case, the mean over the views that show its class; normal visits have nothing to show.
    """
    boxes = visits.evidence(root)
    known = [case for case in tested.table["id"][tested.labels == tested.decisions] if case in boxes][:MEASURED_CASES]
    shares: dict[str, list[float]] = {"heat": [], "even": []}
    for case, pixels, found in _heat_maps(network, known, files):
        maps = dict(zip(VIEWS, found, strict=True))
        for name, of in (("heat", maps), ("even", dict.fromkeys(VIEWS, np.ones((2, 2))))):
            inside = [evidence.share_inside(of[view], box, pixels[0].shape[:2]) for view, box in boxes[case].items()]
            shares[name].append(statistics.fmean(inside))
    return {name: _mean(values) for name, values in shares.items()}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    n = len(values)
    if n == 0:
        return asdict(intervals.undefined("no case with evidence was correctly classified"))
    resamples = intervals.resampled_groups(n, 2000, np.random.default_rng(0)) @ np.asarray(values) / n
    return asdict(intervals.percentile(float(np.mean(values)), resamples, n, n, n))
