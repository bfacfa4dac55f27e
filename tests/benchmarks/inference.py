"""One case of the ensemble: seven uint8 images of 480 x 640 in, probabilities out, resizing included on both sides."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

from row import Measure, Row

EXPORTS = Path(__file__).parents[2] / "build" / "benchmarks" / "ensemble"
NATIVE = (480, 640)


def export() -> None:
    """The ensemble of the paper with random weights: SavedModel, float32 and int8 .tflite; made once."""
    if (EXPORTS / "model.onnx").exists():
        return
    from dataclasses import replace

    import keras
    import numpy as np

    from cervix_tf.contract import Contract
    from cervix_tf.export import onnx_file, saved_model, serving, tflite
    from experiments.mobilenetv2_ensemble import config, model

    settings = replace(config.PAPER, weights="random")
    views = {kind: model.single_view(settings, kind) for kind in config.KINDS}
    trunks = model.stacked(
        settings,
        {kind: keras.Model(net.input, net.get_layer("last_relu").output, name=kind) for kind, net in views.items()},
    )
    network = model.ensemble(trunks, model.fusion(settings, trunks.output_shape[1:]))
    terms = Contract(
        task="benchmark",
        classes=config.CLASSES,
        positive=config.POSITIVE,
        views=config.VIEWS,
        height=settings.images.height,
        width=settings.images.width,
        native_height=NATIVE[0],
        native_width=NATIVE[1],
        version="0",
        license="Apache-2.0",
        intended_use="Benchmarks.",
        data="nothing",
        synthetic=True,
        stand_in=False,
    )
    EXPORTS.mkdir(parents=True, exist_ok=True)
    whole = serving.serving_model(network, terms)
    saved_model.write(whole, terms, EXPORTS / "saved_model")
    calibration = np.random.default_rng(0).integers(0, 256, (2, 7, *NATIVE, 3), dtype=np.uint8)
    for variant in ("float32", "int8"):
        found = tflite.convert(EXPORTS / "saved_model", terms, variant, calibration)
        (EXPORTS / f"{variant}.tflite").write_bytes(found)
    (EXPORTS / "model.onnx").write_bytes(onnx_file.convert(whole, terms))


def ours(file: str) -> Measure:
    """Milliseconds of one case as predict and evaluate run it, from the decoded images on."""
    from cervix_tf.export import runtime

    model, images = runtime.load(EXPORTS / file), _case()
    return timed(lambda: model.run(runtime.stacked(images, model.contract, resize=True)[None]))


def onnx_runtime() -> Measure:
    """Milliseconds of one case by ONNX Runtime, from the export of the same ensemble."""
    import onnxruntime

    session, images = onnxruntime.InferenceSession(EXPORTS / "model.onnx"), _case()[None]
    (name,) = (given.name for given in session.get_inputs())
    return timed(lambda: session.run(None, {name: images}))


def theirs(how: str) -> Measure:
    """Milliseconds of one case by PyTorch; the five acetic views in one call, as ours."""
    import torch
    import torch_networks

    network = torch_networks.Ensemble().eval()
    images = torch.from_numpy(_case())
    if "channels-last" in how:
        network = network.to(memory_format=torch.channels_last)
    forward = torch.compile(network) if "compile" in how else network

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled="bf16" in how):
            forward(images).float().numpy()

    return timed(run)


def timed(run) -> Measure:
    """Milliseconds a call, the median of ten."""
    for _ in range(3):
        run()

    def measure() -> float:
        taken = []
        for _ in range(10):
            start = time.perf_counter()
            run()
            taken.append(1000 * (time.perf_counter() - start))
        return sorted(taken)[5]

    return measure


def matrix_product() -> Measure:
    """GFLOP/s of a float32 matrix product of 3072 x 3072, TensorFlow's."""
    import tensorflow as tf

    a = tf.random.normal((3072, 3072))
    product = tf.function(lambda a: tf.linalg.matmul(a, a))
    milliseconds = timed(lambda: product(a).numpy())
    return lambda: 2 * 3072**3 / 1e6 / milliseconds()


def achieved(file: str) -> Measure:
    """GFLOP/s of one case: multiplications and additions of its convolutions over its time."""
    # In a process of its own: PyTorch's wheels with CUDA do not get along with TensorFlow in one.
    command = [sys.executable, "-c", "import inference; print(inference.operations())"]
    counted = float(subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parent).stdout)
    milliseconds = ours(file)
    return lambda: counted / 1e6 / milliseconds()


def operations() -> float:
    """Floating-point operations of one case: 2 a multiplication, convolutions and dense layers alone."""
    import torch
    import torch_networks
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        torch_networks.Ensemble().eval()(torch.from_numpy(_case()))
    return counter.get_total_flops()


def _case():
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (7, *NATIVE, 3), dtype=np.uint8)


_THEIRS = ("eager", "channels-last", "compile", "compile channels-last")
_FLOAT = {f"PyTorch {how}": functools.partial(theirs, how) for how in _THEIRS}
_SIXTEEN = {f"PyTorch {how}": functools.partial(theirs, how) for how in ("compile channels-last bf16",)}


def _row(title: str, file: str, target: str, peers: dict) -> Row:
    cases = {f"ours {title}": functools.partial(ours, file), **peers}
    return Row(f"Ensemble, one case, {title}", "ms", cases, False, target, prepare=export)


_ONNX = {"ONNX Runtime": onnx_runtime}
_COMPILED = {name: _FLOAT[name] for name in _FLOAT if "compile" in name} | _ONNX

ROWS = [
    _row("LiteRT float32", "float32.tflite", "<= 0.45 of compile", _FLOAT | _SIXTEEN | _ONNX),
    _row("LiteRT int8", "int8.tflite", "<= 0.25 of compile float32", _COMPILED),
    _row("SavedModel", "saved_model", "<= 0.85 of compile float32", _COMPILED),
    Row(
        "Share of the machine's float32 matrix product, ensemble",
        "GFLOP/s",
        {
            "ours LiteRT float32": functools.partial(achieved, "float32.tflite"),
            "ours SavedModel": functools.partial(achieved, "saved_model"),
            "matrix product 3072 x 3072": matrix_product,
        },
        prepare=export,
    ),
]
