"""What the machine has, as its operating system and TensorFlow say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECONDS = 180  # a cold disk takes a minute to load TensorFlow

_PROBE = """
import json
import cv2, keras, tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
devices = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
gpus = {each.get("device_name", "GPU"): each.get("compute_capability", (0, 0)) for each in devices}
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse", jit_compile=False)
loss = model.train_on_batch(tf.ones((2, 4)), tf.ones((2, 2)))
print(json.dumps({"gpus": gpus, "cuda": tf.test.is_built_with_cuda(), "loss": float(loss)}))
"""


@dataclass(frozen=True)
class Libraries:
    """What loading the libraries and a first training step gave."""

    error: str = ""
    """Why it failed; empty where it did not."""
    gpus: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name -> compute capability of the GPUs that TensorFlow sees."""
    cuda: bool = False
    """Whether this TensorFlow could use an NVIDIA GPU."""


def libraries() -> Libraries:
    """What the libraries do in a process of their own: a processor that lacks an instruction would end this one."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return Libraries(f"not loaded within {_SECONDS} s; is the disk of this environment a slow one?")
    if done.returncode == -signal.SIGILL:
        return Libraries("the processor lacks an instruction that TensorFlow is built with (AVX)")
    if done.returncode:
        return Libraries((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    gpus = {name: (capability[0], capability[1]) for name, capability in found["gpus"].items()}
    return Libraries("", gpus, found["cuda"])


def graphics() -> list[str]:
    """Name, driver version and memory of NVIDIA GPUs, as their driver says; none without one."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def memory() -> float:
    """Bytes of memory that this process may use; 0 where the system does not say."""
    try:
        found = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    except (AttributeError, ValueError, OSError):
        return 0.0
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue
        found += [float(text)] if text.isdecimal() else []
    return min(found)
