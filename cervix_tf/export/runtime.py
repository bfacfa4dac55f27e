"""Exported models at work: from image files to probabilities, with what is fastest on this machine.

A .tflite needs no TensorFlow, so that a single case takes about a second with start-up.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor, tuning
from cervix_tf.data.images import decode_file
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, neighbours, saved_model
from cervix_tf.export import contract as contracts
from cervix_tf.export.contract import Contract
from cervix_tf.export.neighbours import Neighbours
from cervix_tf.run_dir import RunDir


@dataclass(frozen=True)
class Model:
    """An exported model, ready to run."""

    contract: Contract
    path: Path
    """The file or folder that it was loaded from."""
    network: Callable[[np.ndarray], np.ndarray]
    """(batch, [views,] height, width, 3) -> what the file itself gives: (batch, classes) probabilities or
    (batch, features) embeddings; uint8 of any size, or float32 pixels at the contract's size."""
    neighbours: Neighbours | None = None
    """What turns embeddings into probabilities, where the contract says so."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """(batch, classes) probabilities of what `network` takes."""
        given = self.network(images)
        return given if self.neighbours is None else self.neighbours.probabilities(given)


def load(path: Path, threads: int | None = None) -> Model:
    """The model in a .tflite file, a SavedModel folder or a run directory.

    Of a run: the SavedModel where there is a GPU, else the float32 .tflite, both exact.
    `threads` limits the CPU threads; None = all. A model of embeddings needs its
    neighbours beside it, in neighbours.npz.

    Raises `InputError` when there is no such model, or it is damaged, or not of cervix_tf.
    """
    path = Path(path)
    if path.is_file():
        return _tflite(path, threads)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path, threads)
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; give a run, a SavedModel folder or a .tflite file")
    run = RunDir(path)
    if run.saved_model.is_dir() and (_gpu() or not run.tflite().is_file()):
        return _saved_model(run.saved_model, threads)
    if run.tflite().is_file():
        return _tflite(run.tflite(), threads)
    if run.model.is_file():
        raise InputError(f"{path}: nothing exported yet; run `python -m cervix_tf.export {path}` first")
    raise InputError(f"{path}: neither a run nor a SavedModel (no {run.model.name}, no saved_model.pb in it)")


def probabilities(
    model: Model, inputs: Sequence[Sequence[str]], batch_size: int = 1, *, in_graph: bool = False
) -> np.ndarray:
    """Class probabilities, (inputs, classes) float32, in the order of `inputs`.

    Each of `inputs` names the image files of one input: one file, or one a view in the
    order of `model.contract.views`. Files are decoded and resized while the model
    computes: OpenCV resizes ten times as fast as LiteRT, within float tolerance.
    `in_graph` leaves resizing to the model, as users without this package do.
    Consecutive inputs of one size go through together, up to `batch_size`.

    Raises `InputError` for a file that cannot be read as an image, or a wrong number of files.
    """
    needed = model.contract.image_files
    for files in inputs:
        if len(files) != needed:
            views = f" ({', '.join(model.contract.views)})" if model.contract.views else ""
            raise InputError(
                f"{', '.join(map(str, files)) or 'no files'}: {len(files)} image files given as one input, "
                f"but {model.path} ({model.contract.task}) takes {needed}{views}"
            )
    found: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for pixels in _loaded(inputs, model.contract, resize=not in_graph):
        if batch and (len(batch) == batch_size or (pixels.shape, pixels.dtype) != (batch[0].shape, batch[0].dtype)):
            found.append(model.run(np.stack(batch)))
            batch = []
        batch.append(pixels)
    if batch:
        found.append(model.run(np.stack(batch)))
    return np.concatenate(found) if found else np.zeros((0, len(model.contract.classes)), np.float32)


def read_input(files: Sequence[str], contract: Contract, *, resize: bool = False) -> np.ndarray:
    """One input, ([views,] height, width, 3): uint8 as decoded; float32 resized if asked or if views differ in size."""
    return stacked([decode_file(file) for file in files], contract, resize=resize)


def stacked(views: Sequence[np.ndarray], contract: Contract, *, resize: bool) -> np.ndarray:
    """What `read_input` gives for decoded images."""
    if resize or len({view.shape for view in views}) > 1:
        # What the graph would do to each; OpenCV's bilinear has half-pixel centres too, and float32 is not rounded.
        size = (contract.width, contract.height)
        views = [cv2.resize(view.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for view in views]
    return np.stack(views) if contract.views else views[0]


def _loaded(inputs: Sequence[Sequence[str]], contract: Contract, *, resize: bool) -> Iterator[np.ndarray]:
    """Inputs in order, decoded a few ahead by other threads: OpenCV gives up Python's lock while it works."""
    workers = min(4, processor.here().cores)
    ahead: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for files in inputs:
                ahead.append(pool.submit(read_input, files, contract, resize=resize))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tflite(path: Path, threads: int | None) -> Model:
    from ai_edge_litert.interpreter import Interpreter

    contract = associated_files.read_contract(path)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads or processor.here().cores)
        of_images, of_pixels = (
            interpreter.get_signature_runner(name) for name in (saved_model.ANY_SIZE, saved_model.PIXELS)
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: not a model that LiteRT can run ({error}); export the run again") from None

    def run(images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8:
            return of_images(images=images)[contract.output]
        return of_pixels(pixels=images)[contract.output]

    return _ready(contract, path, run)


def _saved_model(path: Path, threads: int | None) -> Model:
    import tensorflow as tf

    contract = contracts.read(saved_model.contract_of(path))
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    try:
        loaded = tf.saved_model.load(str(path))
        of_images, of_pixels = (loaded.signatures[name] for name in (saved_model.ANY_SIZE, saved_model.PIXELS))
    except (OSError, ValueError, KeyError, IndexError, tf.errors.OpError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a SavedModel that TensorFlow can load ({first}); export it again") from None

    def run(images: np.ndarray) -> np.ndarray:
        with tuning.single_input() if len(images) == 1 else contextlib.nullcontext():
            if images.dtype == np.uint8:
                return of_images(images=tf.constant(images))[contract.output].numpy()
            return of_pixels(pixels=tf.constant(images))[contract.output].numpy()

    return _ready(contract, path, run)


def _ready(contract: Contract, path: Path, network: Callable[[np.ndarray], np.ndarray]) -> Model:
    found = neighbours.read(neighbours.beside(path), contract.neighbours) if contract.neighbours else None
    if found is not None and found.classes != contract.classes:
        raise InputError(f"{neighbours.beside(path)}: has other classes than {path}; copy both from the same run")
    return Model(contract, path, network, found)


def _gpu() -> bool:
    """Whether TensorFlow has a GPU to run on; asked only where a driver is there, since asking takes seconds."""
    if not Path("/proc/driver/nvidia").exists() or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
