"""What is fastest on this machine: decided from its processor, applied to TensorFlow, and said.

Where a choice rests on a measurement, tests/benchmarks/README.md has it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cervix_tf import processor
from cervix_tf.processor import Processor

_ONE_DNN = "TF_ENABLE_ONEDNN_OPTS"
_applied: dict[str, Any] = {}  # what this process did with TensorFlow, which cannot be asked


class Choice(NamedTuple):
    """What was chosen and why."""

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value}: {self.reason}"


def one_dnn(found: Processor, environment: Mapping[str, str]) -> Choice:
    """Whether TensorFlow is to train by oneDNN: `on`, `off` or `default`, which is TensorFlow's own choice."""
    asked = environment.get(_ONE_DNN)
    if asked is not None:
        return Choice("off" if asked.strip().lower() in ("0", "false") else "on", f"{_ONE_DNN} says so")
    if found.neural:
        return Choice("on", "TensorFlow's own choice where there are instructions for neural networks")
    if found.sets & {"AVX2", "AVX512"}:
        return Choice("on", "trains up to twice as fast, though TensorFlow itself leaves it off here")
    return Choice("default", "nothing was measured on such a processor")


def precision(found: Processor, gpus: Mapping[str, tuple[int, int]]) -> Choice:
    """What the precision `auto` stands for: `bfloat16` where the hardware computes in it, else `float32`.

    `gpus`: name -> compute capability of those that train.
    """
    if gpus:
        old = [name for name, capability in gpus.items() if capability < (8, 0)]
        if old:
            return Choice("float32", f"{old[0]} does not compute in bfloat16")
        return Choice("bfloat16", f"{next(iter(gpus))} computes in it")
    for name in ("AMX-BF16", "AVX512-BF16"):
        if name in found.sets:
            return Choice("bfloat16", f"the processor computes in it ({name})")
    return Choice("float32", "the processor would only emulate bfloat16, which takes more than three times as long")


@contextlib.contextmanager
def importing_tensorflow(threads: int = 0, *, deterministic: bool = False) -> Iterator[None]:
    """Import TensorFlow inside this: it gets what is fastest for training, and so many threads (0: one a core).

    It reads the variable while it is imported and never again, so other programs that this one starts (a latency is
    measured in a process of its own) find it as the user left it. Where TensorFlow is there already, it stays as it is.
    `deterministic`: only operations that give the same results every time.
    """
    late = "tensorflow" in sys.modules
    choice = one_dnn(processor.here(), os.environ)
    ours = choice.value == "on" and _ONE_DNN not in os.environ and not late
    if ours:
        os.environ[_ONE_DNN] = "1"
    try:
        yield
    finally:
        if ours:
            del os.environ[_ONE_DNN]
    import tensorflow as tf

    if not late:
        tf.config.threading.set_intra_op_parallelism_threads(threads or processor.here().cores)
        tf.config.threading.set_inter_op_parallelism_threads(threads or processor.here().cores)
        _applied["one_dnn"] = choice
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        _applied["deterministic"] = True


@contextlib.contextmanager
def single_input() -> Iterator[None]:
    """Run a network on a batch of one inside this: without AVX512, convolutions stay apart from what follows them.

    There oneDNN has no fast convolution of one image with a fused batch normalisation, and takes one that is 12 to 30
    times as slow.
    """
    import tensorflow as tf

    if "AVX512" in processor.here().sets:
        yield
        return
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before.get("remapping", True)})


def described() -> dict[str, Any]:
    """What the arithmetic of this process rests on, for environment.json; TensorFlow has to be imported."""
    import tensorflow as tf

    found, gpus = processor.here(), tf.config.list_physical_devices("GPU")
    threads = tf.config.threading.get_intra_op_parallelism_threads() or found.cores
    fixed = bool(_applied.get("deterministic"))
    where = "GPUs" if gpus else f"processors with {', '.join(sorted(found.sets)) or 'the same instructions'}"
    again = "not bit for bit, for want of --deterministic" if gpus and not fixed else "bit for bit"
    return {
        "processor": str(found),
        "instruction_sets": sorted(found.sets),
        "cores": found.cores,
        "threads": threads,
        "deterministic": fixed,
        "one_dnn": str(_applied.get("one_dnn", Choice("default", "TensorFlow was there before the choice"))),
        "repeatable": f"{again} with {threads} threads on {where} of this kind; others round otherwise, and where two "
        "classes are close, decide otherwise",
    }
