"""Figs. 6 and 12 from our numbers: confusion matrices, features in space, misclassified cells and their maps."""

from __future__ import annotations

import numpy as np

from cervix_tf import runs
from cervix_tf.data.images import decode_file
from cervix_tf.errors import InputError
from cervix_tf.explain import model_maps
from cervix_tf.explain.overlay import told
from cervix_tf.explain.t_sne import t_sne
from cervix_tf.metrics import confusion, embeddings, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import figures, paper_figures
from cervix_tf.report.figures import Picture
from cervix_tf.run_dir import RunDir
from experiments.cvm_cervix.config import Config

_CELLS = 5  # Fig. 12 (b) to (f)
_MOST = 1000  # points in space: more hide each other


def draw(config: Config, out: RunDir) -> None:
    """Write Fig. 6 and Fig. 12 of the main row into the run, as far as that is finished."""
    if not out.metrics.exists():
        return
    drawn: dict[str, Picture | None] = {}
    for name, path in (("validation", out.validation_predictions), ("test", out.predictions)):
        if path.exists():
            drawn[f"Fig. 6 {name}"] = matrix(predictions.read(path), name)
    predicted = predictions.read(out.predictions)
    drawn["Fig. 12 a"] = in_space(out, predicted, config.seed)
    if out.model.exists():
        drawn["Fig. 12 b-f"] = misclassified(out, predicted)
    paper_figures.write(out, drawn)


def matrix(predicted: Predictions, split: str) -> Picture:
    """Fig. 6: the confusion matrix of a split."""
    weights = np.ones((1, len(predicted)))
    counts = confusion.counts(predicted.labels, predicted.decisions, len(predicted.classes), weights)[0]
    return figures.confusion(counts, predicted.classes, f"{split} split")


def in_space(out: RunDir, predicted: Predictions, seed: int) -> Picture:
    """Fig. 12 (a): t-SNE of the fused features of the (first fold's) test images, the misclassified ones bold."""
    shown = embeddings.read(out.embeddings).at_most(_MOST, seed)
    points = t_sne(shown.values, seed, dimensions=3)
    right = dict(zip(predicted.table["id"], predicted.decisions == predicted.labels, strict=True))
    faint = np.array([right[name] for name in shown.table["id"]])
    caption = (
        f"3-D t-SNE of the {shown.values.shape[1]} features of {len(shown)} test images; misclassified ones bold. "
        "Axes have no unit."
    )
    return figures.scatter_in_space(points, shown.labels, shown.classes, faint, caption)


def misclassified(out: RunDir, predicted: Predictions) -> Picture | None:
    """Fig. 12 (b) to (f): the misclassified test images whose wrong class is most confident, above Grad-CAM++ maps.

    None if there is none, or the network has no feature maps.

    Departs: the paper chooses its five images by hand, and does not say how it makes its feature maps.
    """
    listed = runs.manifest(out)
    tested = predicted.where(predicted.table["id"].isin(listed.part("test").rows["path"]))  # of the model that was kept
    wrong = np.flatnonzero(tested.decisions != tested.labels)
    if not len(wrong):
        return None
    confidence = tested.probabilities[wrong, tested.decisions[wrong]]
    chosen = wrong[np.argsort(-confidence)[:_CELLS]]
    serving = runs.model(out)
    images = [decode_file(listed.root / tested.table["id"][at]) for at in chosen]
    try:
        maps = [found[0] for found in model_maps.of_inputs(serving, [[image] for image in images])]
    except InputError as reason:  # a transformer alone
        print(f"note: Fig. 12 is left out: {reason}")
        return None
    names = [(tested.classes[tested.labels[at]], tested.classes[tested.decisions[at]]) for at in chosen]
    listing = "; ".join(f"{label} predicted as {prediction}" for label, prediction in names)
    strip = model_maps.strip(images, maps, [f"{label[:10]} > {prediction[:10]}" for label, prediction in names])
    return figures.photograph(
        strip,
        f"Misclassified test images, above their Grad-CAM++ maps: {listing}.",
        f"Label > prediction: {listing}. Second row, Grad-CAM++: {told(maps[0].shape)}.",
    )
