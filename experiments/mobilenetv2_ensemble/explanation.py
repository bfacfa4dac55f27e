"""Where the ensemble looked: heat maps of the cases shown, Fig. 10, and how much heat lies on the drawn evidence."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from cervix_tf.data import images, png
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.synthetic import visits
from cervix_tf.evaluate import intervals, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.explain import evidence, model_maps
from cervix_tf.explain.mosaic import case_mosaic
from cervix_tf.export import finished_run
from cervix_tf.report import cases, figures
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir, write_json
from experiments.mobilenetv2_ensemble.config import VIEWS, Config
from experiments.mobilenetv2_ensemble.data import inputs_of
from experiments.mobilenetv2_ensemble.rows import CASES

MEASURED_CASES = 20


def explain(config: Config, out: RunDir, everything: Manifest) -> Picture:
    """Grad-CAM++ of the cases that the report shows; Fig. 10's mosaic of four of them.

    A heat map is of the last convolution of each trunk, seven a case. On synthetic visits
    also writes how much of the heat lies within the evidence. Source: sec. 4.5 and Fig. 10.
    """
    tested = predictions.read(out.predictions)
    network = finished_run.model(out)
    listed = inputs_of(everything, CASES)
    chosen = {heading: [tested.table["id"][row] for row in rows] for heading, rows in cases.chosen(tested).items()}
    drawn = {}
    for case in (each for group in chosen.values() for each in group):
        pixels = _pixels(listed, case)
        maps = model_maps.heat_maps(network, pixels, VIEWS)
        drawn[case] = (pixels, maps)
        png.write(out.heat_map(case), model_maps.strip(pixels, maps, VIEWS))
    if config.synthetic_visits:
        write_json(out.evidence, _evidence(network, everything.root, listed, tested))
    right, wrong, uncertain = chosen.values()
    four = [*right[:2], *wrong[:1], *uncertain[:1], *right[2:], *wrong[1:]][:4]
    said = f"{len(four)} cases, the clearest right, the surest wrong and the least certain: {', '.join(four)}"
    mosaic = case_mosaic([drawn[case] for case in four], titles=[_verdict(tested, case) for case in four])
    return figures.photograph(mosaic, f"Images and Grad-CAM++ heat maps of {said}.", f"Grad-CAM++ of {said}.")


def _pixels(listed: Inputs, case: str) -> list[np.ndarray]:
    return [images.decode_file(file) for file in listed.files[list(listed.rows["id"]).index(case)]]


def _verdict(tested: Predictions, case: str) -> str:
    row = list(tested.table["id"]).index(case)
    return f"truth {tested.table['label'][row]}, verdict {tested.classes[tested.decisions[row]]}"


def _evidence(network: keras.Model, root: Path, listed: Inputs, tested: Predictions) -> dict:
    """Mean share of the heat within the boxes around the evidence over rightly called cases, and of an even map.

    Of a case, the mean over the views that show its class; normal visits have nothing to show.
    """
    boxes = visits.evidence(root)
    known = [case for case in tested.table["id"][tested.labels == tested.decisions] if case in boxes][:MEASURED_CASES]
    found: dict[str, list[float]] = {"heat": [], "even": []}
    for case in known:
        pixels = _pixels(listed, case)
        maps = dict(zip(VIEWS, model_maps.heat_maps(network, pixels, VIEWS), strict=True))
        for name, of in (("heat", maps), ("even", dict.fromkeys(VIEWS, np.ones((2, 2))))):
            shares = [evidence.share_inside(of[view], box, pixels[0].shape[:2]) for view, box in boxes[case].items()]
            found[name].append(statistics.fmean(shares))
    return {name: _mean(values) for name, values in found.items()}


def _mean(values: Sequence[float]) -> dict:
    n = len(values)
    if n == 0:
        return asdict(intervals.undefined("no case with evidence was called rightly"))
    resamples = intervals.resampled_groups(n, 2000, np.random.default_rng(0)) @ np.asarray(values) / n
    return asdict(intervals.percentile(float(np.mean(values)), resamples, n, n, n))
