"""Figs. 6 and 12 from our numbers: confusion matrices, features in space, misclassified cells and their maps."""

from __future__ import annotations

import numpy as np

from cervix_tf.data.images import decode_file
from cervix_tf.errors import InputError
from cervix_tf.evaluate import confusion, embeddings, predictions
from cervix_tf.evaluate.predictions import Predictions
from cervix_tf.explain import model_maps
from cervix_tf.explain.t_sne import t_sne
from cervix_tf.export import finished_run
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
    said = predictions.read(out.predictions)
    drawn["Fig. 12 a"] = in_space(out, said, config.seed)
    if out.model.exists():
        drawn["Fig. 12 b-f"] = misclassified(out, said)
    paper_figures.write(out, drawn)


def matrix(said: Predictions, part: str) -> Picture:
    """Fig. 6: the confusion matrix of a part."""
    counts = confusion.counts(said.labels, said.decisions, len(said.classes), np.ones((1, len(said))))[0]
    return figures.confusion(counts, said.classes, f"{part} part")


def in_space(out: RunDir, said: Predictions, seed: int) -> Picture:
    """Fig. 12 (a): t-SNE of the fused features of the (first fold's) test images, the misclassified ones bold."""
    found = embeddings.read(out.embeddings)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(found))[:_MOST])
    points = t_sne(found.values[chosen], seed, dimensions=3)
    right = dict(zip(said.table["id"], said.decisions == said.labels, strict=True))
    faint = np.array([right[name] for name in found.table["id"].iloc[chosen]])
    caption = (
        f"3-D t-SNE of the {found.values.shape[1]} features of {len(chosen)} test images; misclassified ones bold. "
        "Axes have no unit."
    )
    return figures.scatter_in_space(points, found.labels[chosen], found.classes, faint, caption)


def misclassified(out: RunDir, said: Predictions) -> Picture | None:
    """Fig. 12 (b) to (f): the test images that were most surely called another class, and Grad-CAM++ maps below them.

    Departs: the paper chooses its five images by hand, and does not say how it makes its feature maps.
    """
    listed = finished_run.manifest(out)
    tested = said.where(said.table["id"].isin(listed.part("test").rows["path"]))  # of the model that was kept
    wrong = np.flatnonzero(tested.decisions != tested.labels)
    if not len(wrong):
        return None
    sure = tested.probabilities[wrong, tested.decisions[wrong]]
    chosen = wrong[np.argsort(-sure)[:_CELLS]]
    serving = finished_run.model(out)
    images = [decode_file(listed.root / tested.table["id"][at]) for at in chosen]
    try:
        maps = [model_maps.heat_maps(serving, [image])[0] for image in images]
    except InputError as reason:  # a transformer alone
        print(f"note: Fig. 12 is left out: {reason}")
        return None
    names = [(tested.classes[tested.labels[at]], tested.classes[tested.decisions[at]]) for at in chosen]
    told = "; ".join(f"{true} called {verdict}" for true, verdict in names)
    strip = model_maps.strip(images, maps, [f"{true[:10]} > {verdict[:10]}" for true, verdict in names])
    return figures.photograph(
        strip, f"Misclassified test images, above their Grad-CAM++ maps: {told}.", f"True > verdict: {told}."
    )
