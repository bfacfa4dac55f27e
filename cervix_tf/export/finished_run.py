"""What the export stage reads from a finished run: the model, its test predictions, calibration images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cervix_tf import shown_paths
from cervix_tf.data.images import decode_file
from cervix_tf.errors import InputError
from cervix_tf.export import calibration
from cervix_tf.export.contract import Contract
from cervix_tf.run_dir import RunDir, read_json

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest


def model(out: RunDir) -> keras.Model:
    """The serving model. Raises `InputError` when it is missing or cannot be loaded."""
    if not out.model.is_file():
        raise InputError(f"{out.model}: no such file; has this run finished, and is it the run's own folder?")
    import keras

    import cervix_tf.layers  # noqa: F401  (so that Keras knows the layers in the file)

    try:
        return keras.models.load_model(out.model, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{out.model}: not a model that Keras can load ({first}); finish the run again") from None


def manifest(out: RunDir, root: Path | None = None) -> Manifest:
    """The manifest as used; images are below `root`, by default where they were when the run was made.

    Raises `InputError` when the images are not there.
    """
    from cervix_tf.data import manifest as manifests

    if root is None and out.environment.is_file():
        there = read_json(out.environment).get("data_root")
        root = shown_paths.found(there) if there else None
    listed = manifests.read(out.manifest, root)
    first = listed.root / listed.rows["path"][0]
    if not first.is_file():
        raise InputError(f"{first}: no such file; give the folder of the run's images with --root")
    return listed


def tests(out: RunDir, listed: Manifest, contract: Contract) -> tuple[Inputs, np.ndarray]:
    """The test inputs that the run predicted, and its probabilities of them, (inputs, classes).

    Raises `InputError` when predictions and manifest have none in common.
    """
    from cervix_tf.data.inputs import Inputs

    predicted = _predictions(out.predictions, contract)
    every = _inputs(listed.part("test"), contract)
    keep = [at for at, name in enumerate(every.rows["id"]) if name in predicted.index]
    if not keep:
        raise InputError(
            f"{out.predictions}: predicts none of the {len(every)} test inputs in {out.manifest}; "
            "are both of the same run?"
        )
    rows = every.rows.iloc[keep].reset_index(drop=True)
    files = tuple(every.files[at] for at in keep)
    chosen = Inputs(files, every.labels[keep], rows, every.classes, every.views)
    return chosen, predicted.loc[list(rows["id"])].to_numpy()


def calibration_images(listed: Manifest, contract: Contract, count: int, seed: int) -> Iterator[np.ndarray]:
    """At most `count` training inputs at the contract's native size, class after class.

    Each is ([views,] native height, native width, 3) uint8. Raises `InputError` when the manifest has no training rows.
    """
    if not len(listed.part("train")):
        raise InputError("the run's manifest has no row with split 'train', so there is nothing to calibrate int8 on")
    training = _inputs(listed.part("train"), contract)
    size = (contract.native_width, contract.native_height)
    for at in calibration.balanced(training.labels, count, seed):
        views = [cv2.resize(decode_file(file), size, interpolation=cv2.INTER_LINEAR) for file in training.files[at]]
        yield np.stack(views) if contract.views else views[0]


def _inputs(part: Manifest, contract: Contract) -> Inputs:
    from cervix_tf.data import inputs

    if contract.views:
        return inputs.of_cases(part, contract.classes, contract.views)[0]
    return inputs.of_images(part, contract.classes)


def _predictions(path: Path, contract: Contract) -> pd.DataFrame:
    """Probabilities by id, columns in the contract's order."""
    import pandas as pd

    columns = [f"p_{name}" for name in contract.classes]
    try:
        found = pd.read_csv(path, dtype={"id": str, **dict.fromkeys(columns, float)}, keep_default_na=False)
        return found.set_index("id")[columns]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has this run finished?") from None
    except (ValueError, KeyError) as error:  # pandas' own parser errors are ValueErrors
        raise InputError(f"{path}: not predictions of the classes {', '.join(contract.classes)} ({error})") from None
