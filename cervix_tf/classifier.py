"""A finished model as Python code uses it: images in, a table of probabilities out.

>>> model = cervix_tf.load("cric-cells")
>>> model.predict(["cell_1.png", "cell_2.png"])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cervix_tf.contract import Contract
from cervix_tf.data.images import MISSING
from cervix_tf.errors import InputError
from cervix_tf.export import reading, runtime
from cervix_tf.export.reading import Image
from cervix_tf.export.runtime import Model

if TYPE_CHECKING:
    import pandas as pd

    from cervix_tf.data.manifest import Manifest
    from cervix_tf.evaluate.evaluation import Evaluation

Images = str | os.PathLike[str] | np.ndarray | Sequence[Any]
"""What `Classifier.predict` and `heatmap` take."""


def load(path: str | os.PathLike[str], threads: int | None = None) -> Classifier:
    """The model of a run directory, a SavedModel folder, or a .tflite, .onnx or .keras file (the last beside its
    contract.json).

    A released model's name ("cric-cells") stands for its folder in the source checkout.
    `threads` limits the CPU threads; None = all.

    Raises `InputError` when there is no such model, or it is damaged, changed, or not of cervix_tf.
    """
    return Classifier(runtime.load(Path(path), threads))


class Classifier:
    """A model with its contract. Research only: not a medical device.

    Wherever it takes images, they are

    - files or folders, as the predict command takes them: for a model of several views case folders, or for each
      input a list of its files in the order of `contract.views`, "" for one that is missing where
      `contract.missing_views` says so;
    - or pixels, RGB, uint8, of any size: an array ([views,] height, width, 3), a stack of such arrays, or a list.
    """

    def __init__(self, model: Model):
        self.model = model

    def __repr__(self) -> str:
        return f"<{self.contract.task} {self.contract.version}: {', '.join(self.contract.classes)}; {self.model.path}>"

    @property
    def contract(self) -> Contract:
        """What the model takes and gives, and what it is for."""
        return self.model.contract

    def predict(self, images: Images, *, batch_size: int = 1) -> pd.DataFrame:
        """One row an input, by its name: a column `p_<class>` for each class's probability, and `most_probable`.

        Where the contract has an operating point, also `score`, the positive classes' summed probability, and
        `positive`, whether it reaches the threshold; where the model has a gate, `quality`: what is wrong with the
        image ("too dark"), "" for nothing. Arrays are named by their place. More than one at a time only helps on a
        GPU.

        Raises `InputError` for images that cannot be read or do not fit the model.
        """
        import pandas as pd

        inputs = self._inputs(images)
        found, problems = runtime.answers(self.model, [each for _, each in inputs], batch_size)
        table = pd.DataFrame(found, columns=[f"p_{name}" for name in self.contract.classes])
        table.index = pd.Index([name for name, _ in inputs], name="input")
        table = table.assign(most_probable=[self.contract.classes[at] for at in found.argmax(axis=1)])
        if (point := self.contract.operating_point) is not None:
            score, called = point.called(found, [self.contract.classes.index(name) for name in self.contract.positive])
            table = table.assign(score=score, positive=called)
        return table if problems is None else table.assign(quality=["; ".join(map(str, each)) for each in problems])

    def evaluate(
        self, manifest: Manifest | str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None, **options: Any
    ) -> Evaluation:
        """Predictions and metrics on the images of a manifest, and how many of them the model has seen before.

        `root` is the folder of the images, if not that of the manifest; `options` are those of
        `cervix_tf.evaluate.evaluation.evaluate`.

        Raises `InputError` when manifest and model do not fit together.
        """
        from cervix_tf.data import manifest as manifests
        from cervix_tf.evaluate import evaluation

        if isinstance(manifest, str | os.PathLike):
            options = {"name": os.fspath(manifest), **options}
            manifest = manifests.read(Path(manifest), None if root is None else Path(root))
        return evaluation.evaluate(self.model, manifest, **options)

    def heatmap(self, images: Images) -> list[list[np.ndarray]]:
        """Where the evidence for the most probable class lies (Grad-CAM++): a list per input, a map per image.

        Maps are (h, w) in [0, 1], coarser than the image; `cervix_tf.explain.overlay` lays them over it.

        Raises `InputError` for a model without gradients (load the run or its model.keras) or without feature maps.
        """
        from cervix_tf.explain import model_maps

        network = runtime.keras_model(self.model)
        return [
            model_maps.heat_maps(network, reading.decoded(each, self.contract), self.contract.views)
            for _, each in self._inputs(images)
        ]

    def _inputs(self, images: Images) -> list[tuple[str, list[Image]]]:
        """Name and images of each input."""
        from cervix_tf.predict import files

        if isinstance(images, str | os.PathLike):
            images = [images]
        if isinstance(images, np.ndarray) and images.ndim <= (4 if self.contract.views else 3):
            images = [images]
        found: list[tuple[str, list[Image]]] = []
        for at, each in enumerate(images):
            if isinstance(each, str) and each == MISSING:
                raise InputError(f"images[{at}] is empty, which stands for a missing view only within a case")
            if isinstance(each, str | os.PathLike):
                found += [(name, [*paths]) for name, paths in files.inputs_of([Path(each)], self.contract)]
            else:
                several = isinstance(each, Sequence) or (isinstance(each, np.ndarray) and bool(self.contract.views))
                whole = each if several else [each]
                found.append((str(at), [_image(image) for image in whole]))
        return found


def _image(image: Any) -> Image:
    if image is None:
        return MISSING
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    if isinstance(image, np.ndarray):
        return image
    raise InputError(f"{type(image).__name__}: is not an image; give files, or arrays (height, width, 3) uint8")
