"""Exported models at work: from image files to probabilities, with what is fastest on this machine.

A .tflite needs no TensorFlow, so that a single case takes about a second with start-up.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cervix_tf import processor, progress, quality, quiet, released, runs, tuning
from cervix_tf.contract import Contract
from cervix_tf.data.seen import Seen
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, onnx_file, reading, saved_model
from cervix_tf.export import serving as serving_model
from cervix_tf.export.reading import Image
from cervix_tf.metrics import neighbors
from cervix_tf.metrics.neighbors import Neighbors
from cervix_tf.run_dir import RunDir

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Model:
    """An exported model, ready to run."""

    contract: Contract
    path: Path
    """The file or folder that it was loaded from."""
    network: Callable[[np.ndarray], np.ndarray]
    """(batch, [views,] height, width, 3) -> what the file itself gives: (batch, classes) probabilities or
    (batch, features) embeddings; uint8 of any size, or float32 pixels at the contract's size."""
    neighbors: Neighbors | None = None
    """What turns embeddings into probabilities, where the contract says so."""
    seen: Seen | None = None
    """Digests of what the model was trained and chosen on; None = its run did not say."""
    run_dir: RunDir | None = None
    """The run directory that was asked for, if it was one."""
    serving: keras.Model | None = None
    """The model in Keras, where it was loaded from a .keras file."""
    takes_resized: bool = True
    """Whether it takes float pixels at the contract's size as exactly as images of any size."""
    gate: quality.Gate | None = None
    """Tells images that it should not be asked about; None = its folder has none."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """(batch, classes) probabilities of what `network` takes."""
        given = self.network(images)
        return given if self.neighbors is None else self.neighbors.probabilities(given)


class Answers(NamedTuple):
    """What a model says of several inputs, and what is wrong with their images."""

    probabilities: np.ndarray
    """(inputs, classes) float32."""
    problems: list[tuple[quality.Problem, ...]] | None
    """Of each input; None = the model has no gate."""


def load(path: Path, threads: int | None = None) -> Model:
    """The model in a .tflite or .onnx file, a SavedModel folder, a .keras file beside its contract.json, or a run.

    A released model's name is a path too (see `cervix_tf.released.find`). Of a run: the SavedModel where there is a
    GPU, else the float32 .tflite, both exact; where neither is, as in a released model, the float16 one.
    `threads` limits the CPU threads; None = all. A model of embeddings needs its
    neighbors beside it, in neighbors.npz.

    Raises `InputError` when there is no such model, or it is damaged, or not of cervix_tf.
    """
    with progress.stage("reading the model"):
        return _load(released.find(Path(path)), threads)


def _load(path: Path, threads: int | None) -> Model:
    if path.is_file():
        return {".keras": _keras, ".onnx": _onnx}.get(path.suffix, _tflite)(path, threads)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path, threads)
    if not path.is_dir():
        problem = "is not a regular file" if path.exists() else "no such file or folder"
        raise InputError(
            f"{path}: {problem}; give {released.KINDS}, or a released model ({', '.join(released.names())})"
        )
    run = RunDir(path)
    if run.saved_model.is_dir() and (_gpu() or not run.tflite().is_file()):
        return replace(_saved_model(run.saved_model, threads), run_dir=run)
    for variant in ("float32", "float16"):
        if run.tflite(variant).is_file():
            return replace(_tflite(run.tflite(variant), threads), run_dir=run)
    if run.model.is_file():
        raise InputError(f"{path}: nothing exported yet; run `python -m cervix_tf.export {path}` first")
    raise InputError(f"{path}: neither a run nor a SavedModel (no {run.model.name}, no saved_model.pb in it)")


def probabilities(
    model: Model, inputs: Sequence[Sequence[Image]], batch_size: int = 1, *, in_graph: bool = False
) -> np.ndarray:
    """Class probabilities, (inputs, classes) float32: those of `answers`."""
    return answers(replace(model, gate=None), inputs, batch_size, in_graph=in_graph).probabilities


def answers(model: Model, inputs: Sequence[Sequence[Image]], batch_size: int = 1, *, in_graph: bool = False) -> Answers:
    """Class probabilities, and problems where the model has a gate, in the order of `inputs`.

    Each of `inputs` holds the images of one input: one, or one per view in the order of
    `model.contract.views`; files, or pixels as they would be decoded. Files are decoded and resized while the model
    computes: OpenCV resizes ten times as fast as LiteRT, within float tolerance (see `data.resizing`).
    `in_graph` leaves resizing to the model, as users without this package do.
    Consecutive inputs of one size go through together, up to `batch_size`.

    Raises `InputError` for a file that cannot be read as an image, or a wrong number of files.
    """
    needed = model.contract.image_files
    for files in inputs:
        if len(files) != needed:
            views = f" ({', '.join(model.contract.views)})" if model.contract.views else ""
            names = [file if isinstance(file, str) else f"pixels {file.shape}" for file in files]
            raise InputError(
                f"{', '.join(names) or 'no files'}: {len(files)} image files given as one input, "
                f"but {model.path} ({model.contract.task}) takes {needed}{views}"
            )
    found: list[np.ndarray] = []
    problems: list[tuple[quality.Problem, ...]] = []
    batch: list[np.ndarray] = []
    loaded = reading.loaded(inputs, model.contract, resize=model.takes_resized and not in_graph, gate=model.gate)
    for pixels, wrong in progress.counted(loaded, "predicting", len(inputs), "inputs"):
        if batch and (len(batch) == batch_size or (pixels.shape, pixels.dtype) != (batch[0].shape, batch[0].dtype)):
            found.append(model.run(np.stack(batch)))
            batch = []
        batch.append(pixels)
        problems.append(wrong)
    if batch:
        found.append(model.run(np.stack(batch)))
    given = np.concatenate(found) if found else np.zeros((0, len(model.contract.classes)), np.float32)
    return Answers(given, problems if model.gate is not None else None)


def keras_model(model: Model) -> keras.Model:
    """The same model in Keras, whose gradients heat maps need.

    Raises `InputError` where only exported files are, or the model gives embeddings.
    """
    if model.contract.neighbors:
        raise InputError(
            f"{model.path}: heat maps explain class scores, and this model gives embeddings; leave them out"
        )
    if model.serving is not None:
        return model.serving
    if model.run_dir is None or not model.run_dir.model.is_file():
        raise InputError(
            f"{model.path}: heat maps need a run directory with {RunDir(Path()).model.name}, or that file: "
            "they need gradients, which exported files do not have"
        )
    kept = _keras(model.run_dir.model)
    if kept.contract != model.contract:
        raise InputError(f"{model.run_dir.model}: is another model than {model.path} beside it; export the run again")
    assert kept.serving is not None
    return kept.serving


class _Signature(NamedTuple):
    """What one entry of a model takes and gives: name -> shape, None = any, and type."""

    inputs: Mapping[str, tuple[tuple[int | None, ...], str]]
    outputs: Mapping[str, tuple[tuple[int | None, ...], str]]


def _tflite(path: Path, threads: int | None) -> Model:
    contract, seen = associated_files.read(path)
    from ai_edge_litert.interpreter import Interpreter

    def described(details: Mapping[str, Any]) -> dict[str, tuple[tuple[int | None, ...], str]]:
        return {
            name: (tuple(None if side < 0 else int(side) for side in each["shape_signature"]), each["dtype"].__name__)
            for name, each in details.items()
        }

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads or processor.here().cores)
        runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}
        signatures = {
            name: _Signature(described(runner.get_input_details()), described(runner.get_output_details()))
            for name, runner in runners.items()
        }
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: not a model that LiteRT can run ({_first(error)}); export the run again") from None

    announces = {name: quiet.libraries() for name in runners}  # its delegate, at a signature's first input

    one_at_a_time = threading.Lock()  # LiteRT's interpreter gives threads that call it at once each other's answers

    single = next((name for name in (saved_model.SIZED, saved_model.ONE) if name in runners), None)

    def resized_before(images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8:
            views = (list(each) if contract.views else [each] for each in images)
            images = np.stack([reading.stacked(each, contract, resize=True) for each in views])
        return reading.whole_numbers(images) if single == saved_model.SIZED else images

    def alone(images: np.ndarray) -> np.ndarray:
        if single is not None:
            with announces.pop(single, contextlib.nullcontext()):
                one, (argument,) = runners[single], signatures[single].inputs
                found = [one(**{argument: each[None]})[contract.output] for each in resized_before(images)]
                return np.concatenate(found)
        name, argument = (
            (saved_model.ANY_SIZE, "images") if images.dtype == np.uint8 else (saved_model.PIXELS, "pixels")
        )
        with announces.pop(name, contextlib.nullcontext()):
            return runners[name](**{argument: images})[contract.output]

    def run(images: np.ndarray) -> np.ndarray:
        with one_at_a_time:
            return alone(images)

    needed = (single,) if single else (saved_model.ANY_SIZE, saved_model.FIXED, saved_model.PIXELS)
    return _ready(Model(contract, path, run, seen=seen), signatures, needed)


def _onnx(path: Path, threads: int | None) -> Model:
    contract, seen = onnx_file.read(path)
    session = onnx_file.session(path, threads or processor.here().cores)

    def described(values: Sequence[Any]) -> dict[str, tuple[tuple[int | None, ...], str]]:
        kinds = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
        return {
            each.name: (
                tuple(side if isinstance(side, int) else None for side in each.shape),
                kinds.get(each.type, each.type),
            )
            for each in values
        }

    def run(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8:  # views of several sizes: enlarged so that the graph gives back these pixels
            times = contract.supersampling
            images = reading.whole_numbers(images).repeat(times, axis=-3).repeat(times, axis=-2)
        return session.run([contract.output], {"images": images})[0]

    signatures = {saved_model.ANY_SIZE: _Signature(described(session.get_inputs()), described(session.get_outputs()))}
    model = Model(contract, path, run, seen=seen, takes_resized=False)
    return _ready(model, signatures, (saved_model.ANY_SIZE,))


def _saved_model(path: Path, threads: int | None) -> Model:
    contract, seen = saved_model.read(path)
    import tensorflow as tf

    _limit(threads)

    def described(specs: Mapping[str, Any]) -> dict[str, tuple[tuple[int | None, ...], str]]:
        return {name: (tuple(each.shape), each.dtype.name) for name, each in specs.items()}

    try:
        loaded = tf.saved_model.load(str(path))
        signatures = {
            name: _Signature(described(each.structured_input_signature[1]), described(each.structured_outputs))
            for name, each in loaded.signatures.items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"{path}: not a SavedModel that TensorFlow can load ({_first(error)}); export it again"
        ) from None

    def run(images: np.ndarray) -> np.ndarray:
        with tuning.single_input() if len(images) == 1 else contextlib.nullcontext():
            if images.dtype == np.uint8:
                return loaded.signatures[saved_model.ANY_SIZE](images=tf.constant(images))[contract.output].numpy()
            return loaded.signatures[saved_model.PIXELS](pixels=tf.constant(images))[contract.output].numpy()

    needed = (saved_model.ANY_SIZE, saved_model.FIXED, saved_model.PIXELS)
    return _ready(Model(contract, path, run, seen=seen), signatures, needed)


def _keras(path: Path, threads: int | None = None) -> Model:
    run = RunDir(path.parent)
    contract, seen = runs.sealed(run, path)
    _limit(threads)
    from cervix_tf.models import keras_file

    serving = keras_file.load(path)
    try:
        images, resize, *after = serving.layers
        resized = (None, *resize.compute_output_shape(serving.input_shape)[1:])
        gives = {serving.layers[-1].name: (serving.output_shape, serving.outputs[0].dtype)}
        signatures = {
            saved_model.ANY_SIZE: _Signature({images.name: (serving.input_shape, serving.inputs[0].dtype)}, gives),
            saved_model.PIXELS: _Signature({"pixels": (resized, "float32")}, gives),
        }
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path}: is not a model that cervix_tf exports; give the model.keras of a run") from None

    if serving_model.calibration_of(serving) != contract.calibration:
        raise InputError(
            f"{path}: has a different calibration from {run.contract}, so --calibrate did not finish; "
            "run that command again"
        )

    def network(pixels: np.ndarray) -> np.ndarray:
        if pixels.dtype == np.uint8:
            return np.asarray(serving(pixels, training=False))
        return np.asarray(functools.reduce(lambda x, layer: layer(x, training=False), after, pixels))

    model = Model(contract, path, network, seen=seen, serving=serving)
    return _ready(model, signatures, (saved_model.ANY_SIZE, saved_model.PIXELS))


def _ready(model: Model, signatures: Mapping[str, _Signature], needed: Sequence[str]) -> Model:
    """The model with its neighbors, once the `needed` signatures have proved to be as its contract says."""
    contract, path = model.contract, model.path
    found = neighbors.read(neighbors.beside(path), contract.neighbors) if contract.neighbors else None
    if found is not None and found.classes != contract.classes:
        raise InputError(f"{neighbors.beside(path)}: has different classes from {path}; copy both from the same run")
    views = (len(contract.views),) if contract.views else ()
    one = (1, *views, contract.height, contract.width, 3)
    expected = {
        saved_model.ANY_SIZE: ("images", (None, *views, None, None, 3), "uint8"),
        saved_model.FIXED: ("images", (1, *views, contract.native_height, contract.native_width, 3), "uint8"),
        saved_model.PIXELS: ("pixels", (None, *one[1:]), "float32"),
        saved_model.SIZED: ("images", one, "uint8"),
        saved_model.ONE: ("pixels", one, "float32"),
    }
    width = len(contract.classes) if found is None else found.embeddings.shape[1]
    for name in needed:
        argument, shape, kind = expected[name]
        there = signatures.get(name, _Signature({}, {}))
        # Of how many inputs answers come is the graph's to infer, which it need not.
        given = {name: ((None, *shape[1:]), kind) for name, (shape, kind) in there.outputs.items()}
        for what, says, has in (
            ("takes", {argument: (shape, kind)}, there.inputs),
            ("gives", {contract.output: ((None, width), "float32")}, given),
        ):
            if says != has:
                raise InputError(
                    f"{path}: by its contract {name} {what} {_listed(says)}, but the model {what} {_listed(has)}; "
                    "export the run again"
                )
    return replace(model, neighbors=found, gate=quality.read(quality.beside(path), contract))


def _listed(tensors: Mapping[str, tuple[tuple[int | None, ...], str]]) -> str:
    return ", ".join(f"{name} {shape} {kind}" for name, (shape, kind) in tensors.items()) or "nothing"


def _limit(threads: int | None) -> None:
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _gpu() -> bool:
    """Whether TensorFlow has a GPU to run on; asked only where a driver is there, since asking takes seconds."""
    if not Path("/proc/driver/nvidia").exists() or os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
