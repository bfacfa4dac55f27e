"""A finished run read back: its model, its manifest, and the test inputs that it predicted."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cervix_tf import bounded, progress, shown_paths
from cervix_tf import contract as contracts
from cervix_tf.contract import Contract
from cervix_tf.data import seen
from cervix_tf.data.seen import Seen
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_object

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest


def model(out: RunDir) -> keras.Model:
    """The serving model. Raises `InputError` when it is missing, damaged, or not the one that the contract was sealed
    with.
    """
    if out.contract.is_file():
        contract(out)
    with progress.stage("reading the model"):
        from cervix_tf.models import keras_file

        return keras_file.load(out.model)


def contract(out: RunDir) -> Contract:
    """What the run's model takes and gives; sealed or, before the run was exported, not.

    Raises `InputError` when it is missing, or sealed with another model than the one there.
    """
    found = contracts.read(out.contract)
    if found.digest:
        found.check_seal(_digests(out, out.model), str(out.model))
    return found


def sealed(out: RunDir, model: Path) -> tuple[Contract, Seen | None]:
    """The contract beside a .keras file, sealed with it, and what the model was trained and chosen on.

    Raises `InputError` unless they are those that were sealed together.
    """
    found = contracts.read(out.contract)
    found.check_seal(_digests(out, model), str(model))
    return found, seen.read(out.seen) if out.seen.is_file() else None


def seal(out: RunDir, terms: Contract, listed: Manifest) -> Seen:
    """Write down what the model was trained and chosen on, and the digest over it, model and contract.

    Sealed again, the same run keeps its salt, so that its files stay the same.
    """
    try:
        salt = seen.read(out.seen).salt
    except (FileNotFoundError, InputError):
        salt = ""
    found = seen.of(listed, salt)
    replace(terms, digest="").write(out.contract)  # killed between the two, the run is to be exported again
    found.write(out.seen)
    terms.sealed(_digests(out, out.model)).write(out.contract)
    return found


def _digests(out: RunDir, model: Path) -> dict[str, str]:
    """SHA-256 of the .keras file and of what lies beside it."""
    found = {}
    try:
        for name, path in (("model", model), ("seen", out.seen)):
            if name == "model" or path.exists():
                bounded.size(path)
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{model}: no such file; has this run finished, and is it the run's own folder?") from None
    except bounded.Unreadable as error:
        raise InputError(f"{path}: {error}; copy it again or export the run again") from None
    return found


def manifest(out: RunDir, root: Path | None = None) -> Manifest:
    """The manifest as used; images are below `root`, by default where they were when the run was made.

    Raises `InputError` when the images are not there.
    """
    listed = listed_rows(out, root)
    first = listed.root / listed.rows["path"][0]
    if not first.is_file():
        raise InputError(f"{first}: no such file; give the folder of the run's images with --root")
    return listed


def listed_rows(out: RunDir, root: Path | None = None) -> Manifest:
    """The same, whether the images are there or not."""
    from cervix_tf.data import manifest as manifests

    return manifests.read(out.manifest, root or data_root(out))


def data_root(out: RunDir) -> Path | None:
    """Where the images were when the run was made; None where its environment.json does not say."""
    there = read_object(out.environment).get("data_root") if out.environment.is_file() else None
    return shown_paths.found(str(there)) if there else None


def tested_inputs(out: RunDir, listed: Manifest, contract: Contract) -> tuple[Inputs, np.ndarray]:
    """The test inputs that the run predicted, and its probabilities of them, (inputs, classes); calibrated, where
    the contract says that the model is.

    Raises `InputError` when predictions and manifest have none in common.
    """
    from cervix_tf.data.inputs import Inputs

    predicted = _predictions(out.predictions, contract)
    every = inputs_of(listed.part("test"), contract)
    keep = [at for at, name in enumerate(every.rows["id"]) if name in predicted.index]
    if not keep:
        raise InputError(
            f"{out.predictions}: predicts none of the {len(every)} test inputs in {out.manifest}; "
            "are both from the same run?"
        )
    rows = every.rows.iloc[keep].reset_index(drop=True)
    files = tuple(every.files[at] for at in keep)
    chosen = Inputs(files, every.labels[keep], rows, every.classes, every.views)
    expected = predicted.loc[list(rows["id"])].to_numpy()
    return chosen, expected if contract.calibration is None else contract.calibration.applied(expected)


def inputs_of(part: Manifest, contract: Contract) -> Inputs:
    """The model's inputs among the rows of a manifest: cases of its views, or single images."""
    from cervix_tf.data import inputs

    if contract.views:
        return inputs.from_cases(part, contract.classes, contract.views, missing=contract.missing)[0]
    return inputs.from_images(part, contract.classes)


def _predictions(path: Path, contract: Contract) -> pd.DataFrame:
    """Probabilities by id, columns in the contract's order."""
    from cervix_tf.metrics import predictions

    found = predictions.read(path)
    if set(found.classes) != set(contract.classes):
        raise InputError(
            f"{path}: its classes are {', '.join(found.classes)}, the model's {', '.join(contract.classes)}; "
            "are both from the same run?"
        )
    return found.table.set_index("id")[[f"p_{name}" for name in contract.classes]]
