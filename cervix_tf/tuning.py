"""What is fastest on this machine: decided from its hardware, applied to TensorFlow, and recorded.

The measurements behind the choices are in tests/benchmarks/README.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from cervix_tf import processor
from cervix_tf.errors import InputError
from cervix_tf.processor import Processor
from cervix_tf.ranges import Range

_ONE_DNN = "TF_ENABLE_ONEDNN_OPTS"
_applied: dict[str, Any] = {}  # what was set in this process, which TensorFlow cannot be asked


@dataclass(frozen=True)
class Execution:
    """How TensorFlow computes: a command's options beside its configuration, which change only rounding and speed."""

    threads: Annotated[int, Range(0, 1024)] = 0
    """Compute threads; the same number gives the same results on any number of cores of the same kind. 0: as many as
    the run was started with, or one per core for a new run."""
    deterministic: bool = False
    """Use only operations that give the same results every time, even on a GPU; slower."""


class Choice(NamedTuple):
    """What was chosen and why."""

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value}: {self.reason}"


def one_dnn(found: Processor, environment: Mapping[str, str]) -> Choice:
    """Whether TensorFlow is to use oneDNN: `on`, `off` or `default`, which is TensorFlow's own choice."""
    asked = environment.get(_ONE_DNN)
    if asked is not None:
        return Choice("off" if asked.strip().lower() in ("0", "false") else "on", f"{_ONE_DNN} says so")
    if found.neural:
        return Choice("on", "TensorFlow's own choice on a processor with instructions for neural networks")
    if found.sets & {"AVX2", "AVX512"}:
        return Choice("on", "trains up to twice as fast, although TensorFlow leaves it off on this processor")
    return Choice("default", "nothing was measured on such a processor")


def precision(found: Processor, gpus: Mapping[str, tuple[int, int]]) -> Choice:
    """What the precision `auto` stands for: `bfloat16` where the hardware supports it, else `float32`.

    `gpus`: name -> compute capability of those that train.
    """
    if gpus:
        old = [name for name, capability in gpus.items() if capability < (8, 0)]
        if old:
            return Choice("float32", f"{old[0]} has no bfloat16")
        return Choice("bfloat16", f"{next(iter(gpus))} supports it")
    for name in ("AMX-BF16", "AVX512-BF16"):
        if name in found.sets:
            return Choice("bfloat16", f"the processor supports it ({name})")
    return Choice("float32", "the processor would only emulate bfloat16, which is slower")


def gpus() -> dict[str, tuple[int, int]]:
    """Name -> compute capability of the GPUs that TensorFlow sees."""
    import tensorflow as tf

    found = {}
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found[details.get("device_name", gpu.name)] = details.get("compute_capability", (0, 0))
    return found


def threads() -> int:
    """How many threads TensorFlow computes with."""
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or processor.here().cores


@contextlib.contextmanager
def importing_tensorflow(threads: int = 0, *, deterministic: bool = False) -> Iterator[None]:
    """Import TensorFlow inside this: it is set to what trains fastest, and to a number of threads (0: one per core).

    TensorFlow reads the variable for oneDNN when it is imported and never again, so it is restored: programs started
    from this one (latencies are measured in separate processes) see what the user set. If TensorFlow has been imported
    before, oneDNN stays as it is. `deterministic`: only operations that give the same results every time.

    Raises `InputError` when TensorFlow is running already, with another number of threads.
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
        _applied["one_dnn"] = choice
    if threads or not late:
        _limit(threads or processor.here().cores)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        _applied["deterministic"] = True


def _limit(wanted: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        tf.config.threading.set_inter_op_parallelism_threads(wanted)
    except RuntimeError:
        if threads() != wanted:
            raise InputError(
                f"--threads {wanted}: TensorFlow is already running with {threads()} in this process; start a new one"
            ) from None


@contextlib.contextmanager
def single_input() -> Iterator[None]:
    """Run a network on a batch of one inside this: without AVX512, nothing is fused into its convolutions.

    For a single image and fused batch normalization oneDNN has only a convolution there that takes 12 to 30 times as
    long.
    """
    if "AVX512" in processor.here().sets or not _by_one_dnn():
        yield
        return
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before.get("remapping", True)})


def _by_one_dnn() -> bool:
    """Whether TensorFlow uses oneDNN in this process."""
    if "one_dnn" in _applied or _ONE_DNN in os.environ:
        return _applied.get("one_dnn", one_dnn(processor.here(), os.environ)).value == "on"
    return processor.here().neural  # TensorFlow's own choice


def described(*, on_gpus: bool) -> dict[str, Any]:
    """What rounding depends on in this process, for environment.json; TensorFlow has to be imported.

    `on_gpus`: whether training runs on GPUs.
    """
    found, fixed = processor.here(), "deterministic" in _applied
    where = "GPUs" if on_gpus else f"processors with {', '.join(sorted(found.sets)) or 'the same instruction sets'}"
    reproducible = (
        "only up to rounding: on a GPU they are the same bit for bit with --deterministic alone"
        if on_gpus and not fixed
        else f"bit for bit with {threads()} threads on {where} of this kind; others round differently, "
        "which can change the decision where two classes are close"
    )
    return {
        "processor": str(found),
        "instruction_sets": sorted(found.sets),
        "cores": found.cores,
        "threads": threads(),
        "deterministic": fixed,
        "one_dnn": str(_applied.get("one_dnn", Choice("default", "TensorFlow was imported before the choice"))),
        "reproducible": reproducible,
    }


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Inside this NumPy, SciPy and scikit-learn, which are to be imported before, compute on one thread.

    An iteration of a small problem is over before a second thread has started: a logistic regression of 1,416 x 1,280
    features takes 0.3 s on one thread, 1.7 s on two and 15 s on two beside another program. And what sums in the order
    in which threads end, as t-SNE does, gives the same points on every number of cores.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
