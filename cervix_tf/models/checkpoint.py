"""Checkpoints of torchvision, timm and facenet-pytorch as weight files of this project's networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.models import backbones, catalog, weights

# Heads, which a network without its top does not have, and counters.
_LEFT_OUT = ("fc.", "head.", "head_dist.", "classifier.", "aux1.", "aux2.", "logits.", "last_linear.", "last_bn.")
_COUNTER = ".num_batches_tracked"
_WRAPPERS = ("state_dict_ema", "state_dict", "model")
_SHOWN = 5
# Keras' name of a weight -> PyTorch's; other weights have the same name in both.
_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def convert(checkpoint: Path, network: str, out: Path) -> int:
    """How many weight arrays were written to `out`, a .weights.h5 file of the named network without its top.

    The network is that of `backbones.backbone` at 224 x 224 pixels; only those with
    learned positions (ViT, DeiT, T2T-ViT, BoTNet) depend on that size.

    Raises `InputError` for a network whose layers are not named as in PyTorch, a checkpoint
    that cannot be read, and one that lacks a weight, has one too many or one of another shape.
    """
    if network not in catalog.CONVERTIBLE:
        raise InputError(
            f"--network {network}: no checkpoint fits it; give one of {', '.join(catalog.CONVERTIBLE)}"
            "; `python -m cervix_tf.models list` says what is available for the others"
        )
    if not out.name.endswith(".weights.h5"):
        raise InputError(f"-o {out}: the name must end in .weights.h5")
    atomic.check_target(out, inputs=[checkpoint], ours=lambda _: False)
    state = read(checkpoint)
    features = backbones.backbone(network, 224, 224, weights="random").get_layer("features")
    count = assign(features, state, str(checkpoint))
    with atomic.replacing(out) as part:
        weights.save(features, part)
    return count


def assign(network: keras.Model, state: Mapping[str, np.ndarray], source: str) -> int:
    """Give every weight of `network` its value in a PyTorch state dict; how many there were.

    Nothing is changed unless everything fits. `source` names the checkpoint in messages.
    """
    wanted = {_key(layer, weight): (layer, weight) for layer in network.layers for weight in layer.weights}
    present = {key for key in state if not key.startswith(_LEFT_OUT) and not key.endswith(_COUNTER)}
    missing, left_over = [key for key in wanted if key not in present], sorted(present - set(wanted))
    for keys, problem in ((missing, "lacks"), (left_over, "has what this network has not:")):
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            raise InputError(
                f"{source}: {problem} {', '.join(keys[:_SHOWN])}{more}; is it a checkpoint of another network?"
            )
    values = {}
    for key, (layer, weight) in wanted.items():
        value = _as_keras(layer, weight, state[key])
        if value.shape != tuple(weight.shape):
            raise InputError(
                f"{source}: {key} has shape {tuple(state[key].shape)}, which does not fit {tuple(weight.shape)} of "
                f"{layer.name}; is it a checkpoint of another width, or for images of another size than 224 x 224?"
            )
        values[key] = value
    for key, (_, weight) in wanted.items():
        weight.assign(values[key])
    return len(wanted)


def read(path: Path) -> dict[str, np.ndarray]:
    """Weight name -> array of a .safetensors file (without PyTorch) or of a .pth file (with it)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .pth or .safetensors checkpoint")
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: only PyTorch reads this file; pip install torch, or give a .safetensors file"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and PyTorch have errors of their own for what is no checkpoint
        raise InputError(
            f"{path}: PyTorch cannot read it as plain weights ({str(error).splitlines()[0][:200]}); "
            "give a file written by torch.save(model.state_dict(), ...)"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: contains no state dict; give a file written by torch.save(model.state_dict(), ...)")
    # What ran on several GPUs has every name behind "module.".
    return {key.removeprefix("module."): value.float().numpy() for key, value in state.items()}


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format is a length (8 bytes), a JSON header of that length, and the arrays' bytes behind each other."""
    content = path.read_bytes()
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        arrays = {}
        for key, entry in header.items():
            first, last = (start + offset for offset in entry["data_offsets"])
            raw = content[first:last]
            if entry["dtype"] == "BF16":  # the upper half of a float32
                flat = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            else:
                flat = np.frombuffer(raw, _SAFETENSORS[entry["dtype"]])
            arrays[key] = flat.reshape(entry["shape"]).astype("float32")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a complete .safetensors file ({error}); download it again") from error
    return arrays


def _key(layer: keras.layers.Layer, weight: keras.Variable) -> str:
    if weight.name in ("cls_token", "dist_token", "pos_embed"):
        return weight.name  # PyTorch has them in the network itself
    return f"{layer.name}.{_NAMES.get(weight.name, weight.name)}"


def _as_keras(layer: keras.layers.Layer, weight: keras.Variable, value: np.ndarray) -> np.ndarray:
    """PyTorch's array with Keras' order of axes."""
    if weight.name == "kernel" and value.ndim == 4:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return value.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))  # from (filters, channels, height, width)
    if weight.name == "kernel" and value.ndim == 2:
        return value.T
    return value
