import json
import os
import subprocess
import sys

import pytest

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
def test_training_goes_through_onednn_where_that_is_faster_unless_the_user_says_otherwise(found, environment, value):
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
def test_auto_is_bfloat16_only_where_the_hardware_that_trains_computes_in_it(found, gpus, value, reason):
    choice = tuning.precision(found, gpus)
    assert choice.value == value and reason in choice.reason and str(choice).startswith(f"{value}: ")


STUDY = """
import dataclasses, json, os, sys
from pathlib import Path
from cervix_tf import cli, processor

@dataclasses.dataclass(frozen=True)
class Config:
    \"\"\"A study.\"\"\"
    precision: str = "auto"
    devices: str = "cpu"
    seed: int = 0

def run(config, out):
    import tensorflow as tf
    threads = tf.config.threading
    print(json.dumps({
        "set": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "intra": threads.get_intra_op_parallelism_threads(), "inter": threads.get_inter_op_parallelism_threads(),
        "environment": json.loads(out.environment.read_text()), "config": json.loads(out.config.read_text())}))


found = processor.Processor("made up", frozenset(sys.argv[2].split(",")), 2, 2)
processor.here = lambda: found
import builtins
imported = builtins.__import__
def watching(name, *rest, **named):
    if name == "tensorflow" and "tensorflow" not in sys.modules:
        print("imported with", os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
    return imported(name, *rest, **named)
builtins.__import__ = watching
cli.main("study", {"one": Config()}, {"one": ""}, run, ["--out", sys.argv[1], *sys.argv[3:]])
"""


def study(folder, sets, *arguments, fails=False):
    """What a study says that runs in a process of its own on a made-up processor."""
    variables = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    command = [sys.executable, "-c", STUDY, str(folder), sets, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == (2 if fails else 0), done.stderr
    return done.stderr if fails else done.stdout.splitlines()


def test_a_study_trains_by_onednn_with_the_threads_asked_for_and_leaves_the_variable_as_it_was(tmp_path):
    before, said, line = study(tmp_path, "AVX2", "--threads", "3")
    found = json.loads(line)
    assert before == "imported with 1" and said.startswith("precision float32: the processor would only emulate")
    assert found["set"] is None and (found["intra"], found["inter"]) == (3, 3)
    recorded = found["environment"]
    assert recorded["threads"] == 3 and recorded["cores"] == 2 and recorded["one_dnn"].startswith("on: ")
    assert recorded["repeatable"].startswith("bit for bit with 3 threads on processors with AVX2")
    assert recorded["precision"] == said.removeprefix("precision ") and found["config"]["precision"] == "float32"

    # Begun so, the run goes on so: with its threads, and on a processor that would choose otherwise.
    _, said, line = study(tmp_path, "AVX2,AVX512,AVX512-BF16")
    found = json.loads(line)
    assert found["intra"] == 3 and found["config"]["precision"] == "float32"
    assert said == "precision float32: as this run was begun; a new one would take bfloat16 here"
    assert "was begun with threads 3, now 2" in study(tmp_path, "AVX2", "--threads", "2", fails=True)


def test_a_negative_number_of_threads_is_refused(tmp_path):
    assert "--threads -1: must be at least 0" in study(tmp_path, "AVX2", "--threads", "-1", fails=True)


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
def test_one_image_is_not_given_to_onednns_slow_convolution(how):
    if not processor.here().sets & {"AVX2"}:
        pytest.skip("no AVX2 here")
    variables = {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2", "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-c", ONE_IMAGE, how]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=True)
    during = done.stdout.split("BEGIN")[1].split("END")[0].splitlines()
    slow = [line for line in during if "convolution,x64:gemm" in line and "post-ops:binary" in line]
    assert len(slow) == (how == "plain")
    assert done.stdout.splitlines()[-1] == "True"
