"""Figs. 4 to 6 from our numbers: training loss, confusion matrices, where the network looked."""

from __future__ import annotations

import numpy as np

from cervix_tf import history_file, runs
from cervix_tf.data.images import decode_file
from cervix_tf.explain import model_maps, overlay
from cervix_tf.explain.grad_cam import grad_cam
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import figures, paper_figures
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir, read_json
from experiments.resnet50_types.config import CLASSES, PROTOCOLS, PUBLISHED_EPOCH, Config, result_dir


def draw(config: Config, out: RunDir) -> None:
    """Write Figs. 4 and 5 of each finished row and Fig. 6 of the deployed one into the run."""
    drawn: dict[str, Picture | None] = {}
    finished = [protocol for protocol in PROTOCOLS if result_dir(config, out, protocol).metrics.exists()]
    for protocol in finished:
        history = history_file.read(out.row(protocol).history)
        criterion = config.criterion(protocol)
        drawn[f"Fig. 4 {protocol}"] = figures.training(
            protocol, [history], criterion, measured=criterion != PUBLISHED_EPOCH
        )
    for protocol in finished:
        matrix = read_json(result_dir(config, out, protocol).metrics)["confusion"]
        drawn[f"Fig. 5 {protocol}"] = figures.confusion(matrix, CLASSES, f"{protocol}, test split")
    if out.model.exists() and out.predictions.exists():
        drawn["Fig. 6"] = gradcam_examples(out, predictions.read(out.predictions))
    paper_figures.write(out, drawn)


def gradcam_examples(out: RunDir, said: Predictions) -> Picture | None:
    """Fig. 6: the most confident correctly classified test image of each type, above its Grad-CAM map.

    None if no type has one.

    Source: sec. 4.2.
    Departs: how the paper chose its three images is not stated.
    """
    chosen = {}
    for at, name in enumerate(said.classes):
        right = np.flatnonzero((said.labels == at) & (said.decisions == at))
        if len(right):
            chosen[name] = said.table["id"].iloc[right[said.probabilities[right, at].argmax()]]
    if not chosen:
        return None
    listed, serving = runs.manifest(out), runs.model(out)
    pixels = [decode_file(listed.root / name) for name in chosen.values()]
    maps = [found[0] for found in model_maps.of_inputs(serving, [[each] for each in pixels], method=grad_cam)]
    told = ", ".join(f"{name} ({image})" for name, image in chosen.items())
    return figures.photograph(
        model_maps.strip(pixels, maps, list(chosen), width=224),
        f"Test images above their Grad-CAM maps: {told}.",
        f"Images (first row) and Grad-CAM maps (second row): the most confident correctly classified test image of "
        f"{told}. Grad-CAM: {overlay.told(maps[0].shape)}.",
    )
