"""The serving model as a SavedModel folder, its contract inside."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf import atomic, bounded
from cervix_tf import contract as contracts
from cervix_tf.data import seen as seen_data
from cervix_tf.errors import InputError

if TYPE_CHECKING:
    import keras

    from cervix_tf.contract import Contract
    from cervix_tf.data.seen import Seen

ANY_SIZE, FIXED, PIXELS, SIZED = "serving_default", "fixed", "pixels", "sized"
ONE = "one"
"""The signature of files for browsers: `pixels` of one input, so that no shape is open (see `export.web`)."""
_LEFT_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")


def contract_of(folder: Path) -> Path:
    """Where a SavedModel keeps its contract: the folder that TensorFlow leaves to applications."""
    return folder / "assets.extra" / "contract.json"


def seen_of(folder: Path) -> Path:
    """Where a SavedModel keeps what it was trained and chosen on."""
    return folder / "assets.extra" / "seen.json"


def write(
    model: keras.Model, contract: Contract, target: Path, seen: Seen | None = None, *, sized: bool = False
) -> None:
    """Write a SavedModel of three signatures, or of `sized` alone if so asked, whole or not at all.

    All give {"probabilities": (batch, classes)}, or {"embeddings": (batch, features)} where
    the contract names neighbors.

    | signature | takes |
    |---|---|
    | serving_default | `images`: (batch, [views,] any height, any width, 3) uint8 |
    | fixed | `images`: one input at the contract's native size, uint8, for devices that plan memory ahead |
    | pixels | `pixels`: (batch, [views,] height, width, 3) float32, resized before |
    | sized | `images`: one input (1, [views,] height, width, 3) uint8, resized before |

    `model` is what `cervix_tf.export.serving.serving_model` gives.
    """
    with atomic.replacing(target) as part:
        _write(model, contract, part, sized)
        if seen is not None:
            seen.write(seen_of(part))
        contract.sealed(_digests(part)).write(contract_of(part))


def read(folder: Path) -> tuple[Contract, Seen | None]:
    """What a SavedModel folder says of itself, once its digest has shown that all files are those that were written.

    Raises `InputError` when it holds no contract or was changed since.
    """
    contract = contracts.read(contract_of(folder))
    try:
        contract.check_seal(_digests(folder), str(folder))
    except (bounded.Unreadable, FileNotFoundError) as error:  # the latter is a link to nothing
        raise InputError(f"{folder}: {error}; copy it again or export the run again") from None
    return contract, seen_data.read(seen_of(folder)) if seen_of(folder).exists() else None


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 by path of every file in the folder but its contract and what operating systems leave everywhere."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if not (path.is_dir() or path.name.startswith(".") or path.name in _LEFT_BY_SYSTEMS)
        and path != contract_of(folder)
    ]
    bounded.check_model(sum(map(bounded.size, files)))
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write(model: keras.Model, contract: Contract, folder: Path, sized: bool) -> None:
    import tensorflow as tf

    views = (len(contract.views),) if contract.views else ()
    _, resize, *after_resizing = model.layers
    resized = (None, *views, contract.height, contract.width, 3)

    # Traced once and called by every signature: tracing a network takes longer than all else here.
    @tf.function(input_signature=[tf.TensorSpec(resized, tf.float32)])
    def network(pixels: tf.Tensor) -> tf.Tensor:
        return functools.reduce(lambda x, layer: layer(x, training=False), after_resizing, pixels)

    def of_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {contract.output: network(resize(images))}

    def of_pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {contract.output: network(pixels)}

    def of_sized(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # No resizing: with supersampling it would blur an image that has the size already.
        return of_pixels(tf.cast(images, tf.float32))

    # tf.saved_model rather than Keras' ExportArchive: that one writes every weight twice.
    module = tf.Module()
    module.network = network
    module.weights = [variable.value for variable in model.variables]
    signatures = {
        name: tf.function(function).get_concrete_function(tf.TensorSpec(shape, dtype, name=argument))
        for name, function, argument, shape, dtype in (
            (ANY_SIZE, of_images, "images", (None, *views, None, None, 3), tf.uint8),
            (FIXED, of_images, "images", (1, *views, contract.native_height, contract.native_width, 3), tf.uint8),
            (PIXELS, of_pixels, "pixels", resized, tf.float32),
            (SIZED, of_sized, "images", (1, *resized[1:]), tf.uint8),
        )
        if sized == (name == SIZED)
    }
    tf.saved_model.save(module, str(folder), signatures)
