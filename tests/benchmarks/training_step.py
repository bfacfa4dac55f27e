"""One training step (forward, backward, Adam) of the studies' networks, and the memory that it takes."""

from __future__ import annotations

import functools
import time
from pathlib import Path

from row import Measure, Row

HEIGHT, WIDTH, CLASSES = 224, 298, 4


def ours(name: str, precision: str, batch: int, height: int = HEIGHT, width: int = WIDTH) -> Measure:
    """Images a second of the step that the study trains with."""
    return timed(our_step(name, precision, batch, height, width), batch)


def our_step(name: str, precision: str, batch: int, height: int = HEIGHT, width: int = WIDTH):
    """The compiled step, on pixels that are there already."""
    return keras_step(our_compiled(name, precision, height, width), batch)


def our_compiled(name: str, precision: str, height: int = HEIGHT, width: int = WIDTH):
    """The network with the optimizer, loss and metrics that the studies compile it with, TensorFlow as they set it."""
    from cervix_tf import start

    start.import_tensorflow()
    import keras

    from cervix_tf.config import AdamConfig
    from cervix_tf.training import devices, fit
    from cervix_tf.training.harmonic_mean_tpr import HarmonicMeanTPR

    with devices.precision(precision):
        network = our_network(name, height, width)
    network.compile(
        optimizer=fit.adam(AdamConfig()),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", HarmonicMeanTPR(4)],
        jit_compile=devices.jit_compile(),
    )
    return network


def our_network(name: str, height: int = HEIGHT, width: int = WIDTH):
    """The network as the studies build it, weights random."""
    from dataclasses import replace

    from cervix_tf.config import Images
    from cervix_tf.models import backbones
    from experiments.cvm_cervix import config as cvm_config
    from experiments.cvm_cervix import model as cvm_model
    from experiments.mobilenetv2_ensemble import config, model

    if name == "cvm":
        images = Images(height=height, width=width)
        return cvm_model.network(replace(cvm_config.PAPER, weights="random", images=images), name)
    if name == "mobilenet_v2":
        images = Images(height=height, width=width)
        return model.single_view(replace(config.PAPER, weights="random", images=images), "acetic")
    return backbones.classifier(name, CLASSES, height, width, weights="random")


def plain_keras(batch: int) -> Measure:
    """The tuned MobileNetV2 as one would write it with keras.applications alone."""
    import keras

    whole = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(HEIGHT, WIDTH, 3))
    pixels = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.Model(whole.input, whole.get_layer("block_16_project_BN").output)(x)
    x = keras.layers.Conv2D(32, 1, use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.SpatialDropout2D(0.7)(x))
    network = keras.Model(pixels, keras.layers.Dense(CLASSES)(x))
    # Not Keras' default, XLA: that takes minutes to compile on a CPU and is slower.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"], jit_compile=False)
    return timed(keras_step(network, batch), batch)


def keras_step(network, batch: int):
    """One call = one step of the compiled network."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (batch, *network.input_shape[1:]), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, batch)
    batches = iter(tf.data.Dataset.from_tensors((tf.constant(pixels), tf.constant(labels))).repeat())
    network.make_train_function()
    return lambda: network.train_function(batches)


def torch_step(name: str, how: str, batch: int, width: int = WIDTH):
    """One call = one PyTorch step; `how` names any of channels-last, bf16, compile."""
    import torch
    import torch_networks

    torch.manual_seed(0)
    network = torch_networks.network(name)
    pixels = torch.randint(0, 256, (batch, 3, HEIGHT, width)).float()
    labels = torch.randint(0, CLASSES, (batch,))
    if "channels-last" in how:
        network, pixels = (each.to(memory_format=torch.channels_last) for each in (network, pixels))
    forward = torch.compile(network) if "compile" in how else network
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in how):
            loss = torch.nn.functional.cross_entropy(forward(pixels), labels)
        loss.backward()
        optimizer.step()

    return step


def theirs(name: str, how: str, batch: int, width: int = WIDTH) -> Measure:
    """Images a second of PyTorch's step."""
    return timed(torch_step(name, how, batch, width), batch)


def timed(step, batch: int, steps: int = 0) -> Measure:
    """Images a second over `steps` steps, about a second's worth unless said; the first three are not counted."""
    for _ in range(3):
        start = time.perf_counter()
        step()
        took = time.perf_counter() - start
    steps = steps or max(1, round(1.2 / took))

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return batch * steps / (time.perf_counter() - start)

    return measure


def memory(make, *, beyond_import: bool) -> Measure:
    """MB of the process at its peak after three steps; `beyond_import`: less what it held with its framework loaded."""
    before = _status("VmRSS") if beyond_import else 0.0
    step = make()
    for _ in range(3):
        step()
    return lambda: _status("VmHWM") - before


def our_memory(name: str, precision: str, batch: int, *, beyond_import: bool) -> Measure:
    """Of this project's step."""
    import experiments.mobilenetv2_ensemble.model  # noqa: F401 - loads TensorFlow and Keras

    return memory(functools.partial(our_step, name, precision, batch), beyond_import=beyond_import)


def their_memory(name: str, how: str, batch: int, *, beyond_import: bool) -> Measure:
    """Of PyTorch's step."""
    import torch_networks  # noqa: F401 - loads PyTorch

    return memory(functools.partial(torch_step, name, how, batch), beyond_import=beyond_import)


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


_HOW = ("eager", "channels-last", "channels-last bf16", "compile channels-last", "compile channels-last bf16")


def _speed(title: str, name: str, batch: int, hows: tuple[str, ...], target: str, width: int = WIDTH) -> Row:
    cases = {f"ours {precision}": functools.partial(ours, name, precision, batch, width=width)
             for precision in ("float32", "bfloat16")}  # fmt: skip
    cases |= {f"PyTorch {how}": functools.partial(theirs, name, how, batch, width) for how in hows}
    if name == "mobilenet_v2":
        cases["Keras as it comes, without XLA"] = functools.partial(plain_keras, batch)
    return Row(f"Training step, {title}, {HEIGHT}x{width}, batch {batch}", "images/s", cases, target=target)


def _memory(title: str, beyond_import: bool) -> Row:
    cases = {
        f"ours {precision}": functools.partial(
            our_memory, "mobilenet_v2", precision, 16, beyond_import=beyond_import
        )
        for precision in ("float32", "bfloat16")
    }  # fmt: skip
    cases |= {
        f"PyTorch {how}": functools.partial(their_memory, "mobilenet_v2", how, 16, beyond_import=beyond_import)
        for how in _HOW[1:3]
    }
    return Row(title, "MB", cases, more_is_better=False, target="<= 1", rounds=1)


ROWS = [
    _speed("tuned MobileNetV2", "mobilenet_v2", 16, _HOW, ">= 1.5"),
    _speed("ResNet-50", "resnet50", 8, (*_HOW[1:3], _HOW[4]), ">= 1.1"),
    # Without compile: setting up DenseNet121 took PyTorch more than three minutes; Xception was not tried.
    _speed("DenseNet121", "densenet121", 8, _HOW[1:3], ">= 1.1"),
    _speed("Xception", "xception", 8, _HOW[1:3], ">= 1.1"),
    _speed("DeiT-tiny", "deit_tiny", 16, _HOW[:3], ">= 1.1", width=224),
    _speed("CVM-Cervix", "cvm", 8, _HOW[1:3], ">= 1.1", width=224),
    _memory("Peak memory of that MobileNetV2 step, beyond the loaded framework", True),
    _memory("Peak memory of that process, framework included", False),
]
