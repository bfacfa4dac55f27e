"""The serving model as a TFLite file of built-in operations only."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cervix_tf.contract import Contract
from cervix_tf.data import seen as seen_data
from cervix_tf.export import associated_files, flatbuffer, reading, rounding, saved_model, tflite_metadata
from cervix_tf.export.saved_model import ANY_SIZE, FIXED, PIXELS, SIZED

Variant = Literal["float32", "float16", "dynamic", "int8"]
_MEANS_FROM = 16  # calibration inputs whose mean activations correct the biases


def convert(
    folder: Path, contract: Contract, variant: Variant, calibration: Iterable[np.ndarray] = (), *, sized: bool = False
) -> bytes:
    """The bytes of a .tflite file of a SavedModel: uint8 images in, float32 outputs, labels and contract inside.

    | variant | weights | arithmetic |
    |---|---|---|
    | float32 | 32 bit | float32 |
    | float16 | 16 bit | float32 (16 bit where the processor can); the "lightweight" step of Liu et al. 2022 |
    | dynamic | 8 bit | 8 bit where there are kernels for it, ranges taken from each input |
    | int8 | 8 bit | 8 bit, ranges taken once from `calibration`; in float what comes before the first and after the
      last large layer (see `cervix_tf.export.flatbuffer.edges`) |

    Signatures, and what the model was trained on, are those of the SavedModel in `folder`: with `sized` the one
    signature of that name, so that the file has one graph, which is all that MediaPipe takes. `calibration` gives
    typical inputs at the contract's native size, ([views,] height, width, 3) uint8.

    Raises `RuntimeError` when the network needs an operation that is not built into TFLite.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=[SIZED] if sized else [ANY_SIZE, FIXED, PIXELS]
    )
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own use of the deprecated tf.lite.Interpreter
        model = _int8(converter, contract, iter(calibration), sized) if variant == "int8" else converter.convert()
    check_built_in(model)
    described = {tflite_metadata.NAME: tflite_metadata.written(contract, flatbuffer.inputs(model))}
    kept = saved_model.seen_of(folder)
    seen = seen_data.read(kept) if kept.exists() else None
    return associated_files.appended(flatbuffer.compacted(model, described), contract, seen)


def _int8(converter: Any, contract: Contract, calibration: Iterator[np.ndarray], sized: bool) -> bytes:
    """The converter's 8-bit model, but for weights that are rounded well and small operations that stay in float."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    some = list(islice(calibration, _MEANS_FROM))
    if not some:  # the converter would guess the ranges without a word
        raise ValueError("int8 needs calibration inputs")
    # Every signature sees the same inputs, so that they agree on ranges and share the 8-bit constants.
    converter.representative_dataset = lambda: (
        pair for each in chain(some, calibration) for pair in _for_every_signature(each, contract, sized)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    # The converter's two steps apart, as tf.lite.experimental.QuantizationDebugger takes them: between them the
    # weights are still float.
    converter._experimental_calibrate_only = True
    if sized:
        calibrated = rounding.rounded(converter.convert(), SIZED, [_sized(case, contract) for case in some])
    else:
        calibrated = rounding.rounded(converter.convert(), FIXED, some)
    return mlir_quantize(calibrated, denylisted_nodes=flatbuffer.edges(calibrated))


def _sized(case: np.ndarray, contract: Contract) -> np.ndarray:
    """([views,] height, width, 3) uint8, as whoever runs a file of one size resizes."""
    return reading.whole_numbers(reading.stacked(list(case) if contract.views else [case], contract, resize=True))


def _for_every_signature(case: np.ndarray, contract: Contract, sized: bool) -> list[tuple[str, dict[str, np.ndarray]]]:
    if sized:
        return [(SIZED, {"images": _sized(case, contract)[None]})]
    pixels = reading.stacked(list(case) if contract.views else [case], contract, resize=True)
    return [
        (ANY_SIZE, {"images": case[None]}),
        (FIXED, {"images": case[None]}),
        (PIXELS, {"pixels": pixels[None]}),
    ]


def check_built_in(model: bytes) -> None:
    """Raise `RuntimeError` that names the operations which are not built into TFLite (custom or Flex), if any."""
    foreign = sorted(name for name in flatbuffer.operators(model) if name.startswith("custom:"))
    if foreign:
        raise RuntimeError(f"not built into TFLite: {', '.join(foreign)}; express them with other operations")
