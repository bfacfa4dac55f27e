import json
import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from cervix_tf import processor, tuning
from cervix_tf.processor import Processor

OLD = Processor("old", frozenset(), 2, 2)
LAPTOP = Processor("laptop", frozenset({"AVX2"}), 2, 2)
NEWER = Processor("newer", frozenset({"AVX2", "AVX-VNNI"}), 2, 2, neural=True)
SERVER = Processor("server", frozenset({"AVX2", "AVX512"}), 2, 2)
BF16 = Processor("bf16", frozenset({"AVX2", "AVX512", "AVX512-VNNI", "AVX512-BF16"}), 2, 2, neural=True)


@pytest.mark.parametrize(
    ("found", "environment", "value"),
    [
        (OLD, {}, "default"),
        (LAPTOP, {}, "on"),
        (NEWER, {}, "on"),
        (SERVER, {}, "on"),
        (BF16, {}, "on"),
        (LAPTOP, {"TF_ENABLE_ONEDNN_OPTS": "0"}, "off"),
        (OLD, {"TF_ENABLE_ONEDNN_OPTS": "1"}, "on"),
    ],
)
def test_training_uses_onednn_where_that_is_faster_unless_the_user_says_otherwise(found, environment, value):
    assert tuning.one_dnn(found, environment).value == value


@pytest.mark.parametrize(
    ("found", "gpus", "value", "reason"),
    [
        (LAPTOP, {}, "float32", "emulate"),
        (SERVER, {}, "float32", "emulate"),
        (BF16, {}, "bfloat16", "AVX512-BF16"),
        (LAPTOP, {"NVIDIA A100": (8, 0)}, "bfloat16", "NVIDIA A100"),
        (BF16, {"Tesla V100": (7, 0)}, "float32", "Tesla V100"),
        (BF16, {"NVIDIA A100": (8, 0), "Tesla T4": (7, 5)}, "float32", "Tesla T4"),
    ],
)
def test_auto_is_bfloat16_only_where_the_hardware_that_trains_supports_it(found, gpus, value, reason):
    choice = tuning.precision(found, gpus)
    assert choice.value == value and reason in choice.reason and str(choice).startswith(f"{value}: ")


STUDY = """
import builtins, dataclasses, json, os, sys
from cervix_tf import processor
from cervix_tf.study import Preset, Study, main

@dataclasses.dataclass(frozen=True)
class Config:
    \"\"\"A study.\"\"\"
    precision: str = "auto"
    devices: str = "cpu"
    seed: int = 0

def run(config, out, request):
    import tensorflow as tf
    out.metrics.write_text("{}")  # the run holds something computed
    threads = tf.config.threading
    print(json.dumps({
        "set": os.environ.get("TF_ENABLE_ONEDNN_OPTS"), "precision": config.precision,
        "intra": threads.get_intra_op_parallelism_threads(), "inter": threads.get_inter_op_parallelism_threads(),
        "environment": json.loads(out.environment.read_text()), "config": json.loads(out.config.read_text())}))

found = processor.Processor("made up", frozenset(sys.argv[2].split(",")), 2, 2)
processor.here = lambda: found
imported = builtins.__import__
def watching(name, *rest, **named):
    if name == "tensorflow" and "tensorflow" not in sys.modules:
        print("imported with", os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
    return imported(name, *rest, **named)
builtins.__import__ = watching
main(Study("study", "A study", {"one": Preset(Config(), "")}, (1,), lambda *_: [], run),
     ["--out", sys.argv[1], *sys.argv[3:]])
"""


def study(folder, sets, *arguments):
    """The lines that a study prints which runs in a process of its own on a made-up processor."""
    variables = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    command = [sys.executable, "-c", STUDY, str(folder), sets, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_study_trains_with_onednn_and_the_threads_asked_for_and_leaves_the_variable_as_it_was(tmp_path):
    before, said, line = study(tmp_path, "AVX2", "--threads", "3")
    found, emulated = json.loads(line), "the processor would only emulate bfloat16, which is slower"
    assert before == "imported with 1"
    assert said == f"computing with --threads 3, oneDNN on, precision float32: {emulated}"
    assert found["set"] is None and (found["intra"], found["inter"]) == (3, 3)
    assert found["precision"] == found["config"]["precision"] == "float32"
    recorded = found["environment"]
    assert recorded["threads"] == 3 and recorded["cores"] == 2 and recorded["one_dnn"].startswith("on: ")
    assert recorded["reproducible"].startswith("bit for bit with 3 threads on processors with AVX2 of this kind")
    assert recorded["precision"] == f"float32: {emulated}"


def test_a_run_continues_as_it_was_started_also_on_a_processor_that_would_choose_otherwise(tmp_path):
    study(tmp_path, "AVX2", "--threads", "3")
    _, note, said, line = study(tmp_path, "AVX2,AVX512,AVX512-BF16")
    found = json.loads(line)
    assert found["intra"] == 3 and found["precision"] == found["config"]["precision"] == "float32"
    assert said.endswith("precision float32: as this run was started; a new one would use bfloat16 here")
    assert note.endswith("was started on made up, 2 logical CPUs; what is computed here is rounded differently")
    for _ in range(2):  # nor is it forgotten when the command is given once more
        assert found["environment"]["reproducible"].startswith("only up to rounding: parts of this run may")
        found = json.loads(study(tmp_path, "AVX2,AVX512,AVX512-BF16")[-1])


@pytest.mark.parametrize(
    ("on_gpus", "applied", "said"),
    [
        (False, {}, "bit for bit with 2 threads on processors with AVX2 of this kind"),
        (True, {}, "only up to rounding: on a GPU they are the same bit for bit with --deterministic alone"),
        (True, {"deterministic": True}, "bit for bit with 2 threads on GPUs of this kind"),
    ],
)
def test_on_a_gpu_the_same_numbers_are_promised_only_with_deterministic_operations(monkeypatch, on_gpus, applied, said):
    monkeypatch.setattr(processor, "here", lambda: LAPTOP)
    monkeypatch.setattr(tuning, "threads", lambda: 2)
    monkeypatch.setattr(tuning, "_applied", applied)
    assert tuning.described(on_gpus=on_gpus)["reproducible"].startswith(said)


ONE_IMAGE = """
import contextlib, os, sys
import keras, numpy as np, tensorflow as tf
from cervix_tf import tuning
from cervix_tf.layers import FusedBatchNormalization

network = keras.Sequential([
    keras.Input((16, 16, 8)), keras.layers.Conv2D(16, 1, use_bias=False), FusedBatchNormalization(),
    keras.layers.ReLU(6.0)])
run = tf.function(lambda images: network(images, training=False))
print("BEGIN", flush=True)
with tuning.single_input() if sys.argv[1] == "single" else contextlib.nullcontext():
    assert run(tf.ones((1, 16, 16, 8))).shape == (1, 16, 16, 16)
print("END", flush=True)
print(tf.config.optimizer.get_experimental_options().get("remapping", True))
"""


@pytest.mark.parametrize("how", ["single", "plain"])
def test_one_image_is_not_given_to_the_slow_convolution_of_onednn(how):
    if "AVX2" not in processor.here().sets:
        pytest.skip("no AVX2 here")
    variables = {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2", "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-c", ONE_IMAGE, how]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=True)
    during = done.stdout.split("BEGIN")[1].split("END")[0].splitlines()
    slow = [line for line in during if "convolution,x64:gemm" in line and "post-ops:binary" in line]
    assert len(slow) == (how == "plain")
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize(
    ("found", "variables", "fused"),
    [
        (LAPTOP, {}, True),  # TensorFlow leaves oneDNN off: its own convolution of one image is fast
        (LAPTOP, {"TF_ENABLE_ONEDNN_OPTS": "1"}, False),
        (NEWER, {}, False),
        (NEWER, {"TF_ENABLE_ONEDNN_OPTS": "0"}, True),
        (BF16, {}, True),
    ],
)
def test_operations_stay_fused_where_onednn_does_not_compute_or_is_fast(monkeypatch, found, variables, fused):
    import tensorflow as tf

    monkeypatch.setattr(processor, "here", lambda: found)
    monkeypatch.setattr(tuning, "_applied", {})
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with tuning.single_input():
        assert tf.config.optimizer.get_experimental_options().get("remapping", True) is fused
    assert tf.config.optimizer.get_experimental_options().get("remapping", True) is True


def test_scikit_learn_computes_on_one_thread_where_asked_and_on_as_many_as_before_afterwards():
    import sklearn.linear_model  # noqa: F401

    def threads():
        return {each["filepath"]: each["num_threads"] for each in threadpool_info()}

    before = threads()
    with tuning.one_thread():
        assert set(threads().values()) == {1}
    assert before and threads() == before
